"""Erasure over tables that DuckDB has written: the dimension is the oracle's without the erased, run after run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Table

from include.lake.erasure import erase
from local.lake.catalog import lake_folder
from local.lake.views import forget_intermediate_tables
from tests.engines.engines import duckdb_engine
from tests.include.lake.remains import remains
from tests.oracle.compare import differences, report
from tests.oracle.histories import Generator
from tests.oracle.history_model import dimension
from tests.oracle.reads import Lake
from tests.oracle.shapes import USER
from tests.property.pipeline import Pipeline


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline over an empty lake, whose variables everything here has."""
    engine = duckdb_engine(tmp_path)
    with engine.environment_variables():
        yield Pipeline(engine, USER)


def position_deletes(table: Table) -> int:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return sum(manifest.content == ManifestContent.DELETES for manifest in snapshot.manifests(table.io))


def build(pipeline: Pipeline, *flags: str) -> None:
    pipeline.build(*flags)
    assert pipeline.engine.dbt("snapshot", "--select", "sf_user_snapshot").success


def test_the_history_is_the_oracles_without_the_erased(pipeline: Pipeline, tmp_path: Path) -> None:
    oracle = Lake(USER)
    batches = list(Generator(USER, seed=3, records=80, runs=8).batches())
    for batch in batches[:4]:
        oracle.deliver(batch)
        pipeline.deliver(batch)
        build(pipeline)
    table = pipeline.catalog.load_table(pipeline.tables.dimension)
    assert position_deletes(table), "DuckDB has hidden no row: this test tries less than it says"
    partitions = {str(task.file.partition) for task in table.scan().plan_files()}
    known = sorted(oracle.log.by_record())
    gone = set(known[::9])
    assert all(remains(tmp_path / "lake", one) for one in gone)

    DuckDBConnectionManager.close_all_connections()
    erasure = erase(
        pipeline.catalog,
        pipeline.object_file,
        pipeline.environment,
        sorted(gone),
        run_id="test",
        erased_at=datetime.now(UTC),
        alone=True,
    )
    assert not erasure.unknown
    assert forget_intermediate_tables(lake_folder(tmp_path / "lake"), noun="user")
    assert remains(tmp_path / "lake", *gone) == []
    left = pipeline.catalog.load_table(pipeline.tables.dimension).scan().plan_files()
    assert {str(task.file.partition) for task in left} <= partitions
    check(pipeline, oracle, gone, "right after")

    for number, batch in enumerate(batches[4:]):
        oracle.deliver(batch)
        pipeline.deliver(batch)
        build(pipeline)
        check(pipeline, oracle, gone, f"increment {number} ({'full' if batch.window.full_refresh else 'part'})")
    build(pipeline, "--full-refresh")
    check(pipeline, oracle, gone, "rebuilt")
    DuckDBConnectionManager.close_all_connections()
    assert [name for name in remains(tmp_path / "lake", *gone) if not name.startswith("staging/")] == []
    assert remains(tmp_path / "target", *gone) == []


def check(pipeline: Pipeline, oracle: Lake, gone: set[str], told: str) -> None:
    expected = [row for row in dimension(oracle.log) if row["user_id"] not in gone]
    if found := differences(USER, pipeline.dimension(), expected):
        pytest.fail(f"{told}: {report(found)}", pytrace=False)
