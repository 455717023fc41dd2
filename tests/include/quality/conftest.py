"""Staged extractions made by hand, and a real Iceberg catalog on a temporary folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from include.salesforce.convert import schema_of
from include.staging import store
from include.staging.manifest import ExtractionManifest, ExtractionStats, FieldPlan, ReadPlan, Window
from tests.include.quality.replay_lake import Lake, Staged, at
from tests.include.quality.rows import FILE, NOON

_TYPES = {"LastModifiedDate": "timestamptz", "SystemModstamp": "timestamptz", "IsActive": "boolean"}


@pytest.fixture
def staged(tmp_path: Path) -> Callable[..., ExtractionManifest]:
    """Stages rows as extract would have."""

    def made(*rows: dict[str, Any], run_id: str = "run") -> ExtractionManifest:
        window = Window(start=None, end=NOON, kind="manual", full_refresh=True, reason="test")
        plan = ReadPlan(
            noun="user",
            object="User",
            org_id="00D000000000001EAA",
            run_id=run_id,
            window=window,
            fields=tuple(
                FieldPlan(name=name, column=name.lower(), salesforce_type="x", column_type=_TYPES.get(name, "string"))
                for name in FILE.fields
            ),
            has_is_deleted=False,
            cursor="SystemModstamp",
            api="rest",
            estimated_rows=len(rows),
            planned_at=NOON,
        )
        schema = schema_of(plan, FILE)
        batches = [pa.RecordBatch.from_pylist(list(rows[at : at + 3]), schema) for at in range(0, len(rows), 3)]
        files = store.write_parquet(str(tmp_path / run_id / "extract"), batches, schema, "rows")
        stats = ExtractionStats.of_staged(len(rows))
        return ExtractionManifest(plan=plan, extracted_at=NOON, files=tuple(files), stats=stats)

    return made


@pytest.fixture
def catalog(tmp_path: Path) -> SqlCatalog:
    return SqlCatalog(
        "iceberg_default", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
    )


@pytest.fixture
def make_lake(tmp_path: Path, staged: Staged) -> Callable[[str], Lake]:
    return lambda name: Lake(tmp_path / name, staged)


@pytest.fixture
def lake(make_lake: Callable[[str], Lake]) -> Iterator[Lake]:
    """A lake whose first load accepted users 0 and 1."""
    made = make_lake("lake")
    made.run(at(-1, 0), at(-1, 1), hour=0)
    yield made
    assert not list(Path(made.environment.staging_uri).rglob("replay-*")), "a replay left files behind"
