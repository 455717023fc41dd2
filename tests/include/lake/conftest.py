"""A real lake on tmp_path: SqlCatalog on SQLite, Parquet in a folder, and runs that go through staged files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table

from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.lake.names import RawTables
from include.lake.upsert import upsert
from include.lake.watermark import LakeState, read_lake_state
from include.staging.columns import COLUMN_TYPES
from include.staging.manifest import (
    ExtractionManifest,
    ExtractionStats,
    FieldPlan,
    ReadPlan,
    UpsertManifest,
    ValidationManifest,
    Window,
)
from include.staging.store import join, write_parquet

DAY_ONE = datetime(2026, 1, 5, tzinfo=UTC)
STATS = ExtractionStats.of_staged(0)
_TYPES = {
    "isactive": "boolean",
    "isdeleted": "boolean",
    "lastmodifieddate": "timestamptz",
    "systemmodstamp": "timestamptz",
    "createddate": "timestamptz",
}


def hours(count: float) -> datetime:
    """A moment, told as hours after the first day's midnight."""
    return DAY_ONE + timedelta(hours=count)


class Lake:
    """One lake, and runs of one object into it."""

    def __init__(self, folder: Path, object_file: ObjectFile, *, org_id: str = "00D000000000001AAA") -> None:
        self.folder, self.object_file, self.org_id = folder, object_file, org_id
        self.environment = self.named()
        self.tables = RawTables.of(object_file, self.environment)
        self.types = {name: _TYPES.get(name, "string") for name in object_file.columns}
        folder.mkdir(parents=True, exist_ok=True)
        self.catalog = self.connect()
        self._runs = 0

    def named(self) -> Environment:
        """The environment that the lake is in."""
        return current_environment({"SF_HISTORY_LAKE": str(self.folder)})

    def connect(self) -> Catalog:
        """A catalog of one's own, as another process would have."""
        return SqlCatalog(
            "iceberg_default",
            uri=f"sqlite:///{self.folder / 'catalog.db'}",
            warehouse=f"file://{self.folder / 'warehouse'}",
        )

    def record(self, key: str, at: float, **values: Any) -> dict[str, Any]:
        """A record that was last touched `at` hours after the first midnight."""
        record: dict[str, Any] = dict.fromkeys(self.object_file.columns)
        record.update(id=key, name=f"name of {key}", isdeleted=False, createddate=DAY_ONE)
        record.update(lastmodifieddate=hours(at), systemmodstamp=hours(at))
        return {**record, **values}

    def staged(
        self,
        records: Iterable[dict[str, Any]] | pa.Table,
        *,
        end: float,
        start: float | None = None,
        full: bool | None = None,
        present: Sequence[str] = (),
        run_id: str | None = None,
        extracted_at: datetime | None = None,
        absent: Sequence[str] = (),
    ) -> ValidationManifest:
        """What validate hands over: staged files and the plan behind them."""
        self._runs += 1
        run_id = run_id or f"scheduled__{self._runs}"
        schema = pa.schema([(name, COLUMN_TYPES[kind]) for name, kind in self.types.items()])
        rows = records if isinstance(records, pa.Table) else pa.Table.from_pylist(list(records), schema)
        folder = join(self.environment.staging_uri, f"{self._runs}")
        files = write_parquet(folder, [rows.select(schema.names)], schema, "accepted")
        ids = pa.table({"id": pa.array(present, pa.string())})
        present_files = write_parquet(folder, [ids], ids.schema, "present")
        selected = [name for name in self.object_file.columns if name not in absent and name != "isdeleted"]
        plan = ReadPlan(
            noun=self.object_file.noun,
            object=self.object_file.object,
            org_id=self.org_id,
            run_id=run_id,
            window=Window(
                start=None if start is None else hours(start),
                end=hours(end),
                kind="scheduled",
                full_refresh=start is None if full is None else full,
                reason="test",
            ),
            fields=tuple(
                FieldPlan(name=name, column=name, salesforce_type="string", column_type=self.types[name])
                for name in selected
            ),
            absent=tuple(absent),
            has_is_deleted=False,
            cursor="lastmodifieddate" if "systemmodstamp" in absent else self.object_file.cursor_column,
            api="rest",
            estimated_rows=rows.num_rows,
            planned_at=hours(end),
        )
        extraction = ExtractionManifest(
            plan=plan, extracted_at=extracted_at or hours(end) + timedelta(seconds=self._runs), files=(), stats=STATS
        )
        return ValidationManifest(
            extraction=extraction,
            files=tuple(files),
            present_files=tuple(present_files),
            accepted=rows.num_rows,
            rejected=len(present),
            superseded=0,
            reasons={},
            warnings=(),
        )

    def run(self, records: Iterable[dict[str, Any]] | pa.Table, **kwargs: Any) -> UpsertManifest:
        """Stage and upsert."""
        return self.upsert(self.staged(records, **kwargs))

    def upsert(self, validation: ValidationManifest, **kwargs: Any) -> UpsertManifest:
        """Upsert what was staged."""
        return upsert(self.catalog, self.object_file, self.environment, validation, **kwargs)

    def table(self, name: str) -> Table:
        """A table, as it is now: mirror, changes, ledger."""
        return self.catalog.load_table(getattr(self.tables, name))

    def rows(self, name: str = "mirror") -> list[dict[str, Any]]:
        """All rows of a table, sorted by id and window end."""
        rows = self.table(name).scan().to_arrow().to_pylist()
        return sorted(rows, key=lambda row: (row["id"], row.get("_window_end") or DAY_ONE, row["_extracted_at"]))

    def mirror(self) -> dict[str, dict[str, Any]]:
        """The mirror by id; no Id may be there twice."""
        rows = self.rows("mirror")
        found = {row["id"]: row for row in rows}
        assert len(found) == len(rows), "an Id is in the mirror twice"
        return found

    def state(self) -> LakeState:
        """What check_source would read."""
        return read_lake_state(self.connect(), self.tables)

    def snapshots(self) -> tuple[int, int]:
        """Number of snapshots of log and mirror."""
        return len(self.table("changes").snapshots()), len(self.table("mirror").snapshots())


@pytest.fixture(scope="session")
def user_object() -> ObjectFile:
    """The object file of User, as it is shipped."""
    return read_object_files()["user"]


@pytest.fixture
def lake(tmp_path: Path, user_object: ObjectFile) -> Lake:
    """An empty lake for User."""
    return Lake(tmp_path / "lake", user_object)


@pytest.fixture
def make_lake(tmp_path: Path, user_object: ObjectFile) -> Callable[..., Lake]:
    """Makes lakes, optionally with another object file."""

    def make(name: str = "lake", object_file: ObjectFile | None = None, **kwargs: Any) -> Lake:
        return Lake(tmp_path / name, object_file or user_object, **kwargs)

    return make


@pytest.fixture(scope="session")
def hours_of() -> Callable[[float], datetime]:
    """`hours`, for tests that tell time as the lake's records do."""
    return hours


@pytest.fixture
def erasing_lake(make_lake: Callable[..., Any]) -> Any:
    """A lake whose staged files are where a run would put them."""
    lake = make_lake()
    staged = lake.staged

    def staged_below_the_object(*args: Any, **kwargs: Any) -> Any:
        manifest = staged(*args, **kwargs)
        folder = lake.folder / "staging"
        (folder / "sf_user").mkdir(exist_ok=True)
        moved = {}
        for uri in (*manifest.files, *manifest.present_files):
            target = folder / "sf_user" / Path(uri).parent.name
            target.mkdir(exist_ok=True)
            moved[uri] = str(Path(uri).rename(target / Path(uri).name))
        return manifest.model_copy(
            update={
                "files": tuple(moved[uri] for uri in manifest.files),
                "present_files": tuple(moved[uri] for uri in manifest.present_files),
            }
        )

    lake.staged = staged_below_the_object
    return lake
