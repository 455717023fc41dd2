"""What pyiceberg writes Trino and DuckDB read, and what Trino writes pyiceberg and DuckDB read: the same rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Table

from include.lake.row_removal import Wanted, remove_rows
from include.lake.table_sizes import measure_tables
from include.lake.version_counts import count_versions, current_snapshot_id
from include.upkeep.compaction import compact
from local.cloud.aws import Aws
from local.cloud.trino import Trino
from tests.engines.engines import Engine
from tests.engines.readers import Readers
from tests.engines.replay import build
from tests.oracle.compare import differences, report
from tests.oracle.histories import Generator
from tests.oracle.history_model import dimension
from tests.oracle.reads import Lake
from tests.oracle.shapes import USER
from tests.property.pipeline import Pipeline
from tests.property.test_replay_property import Refusing

pytestmark = pytest.mark.trino

MOMENT = pa.timestamp("us", tz="UTC")
CLOCK = pa.timestamp("us")
EXTREMES = pa.table(
    {
        "text": pa.array(["", None, "Süd-Öst 東部 🏔", 'it\'s | "done", \\N\n\t', "e\u0301 ≠ é"], pa.string()),
        "moment": pa.array(
            [
                datetime(1, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
                None,
                datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
                datetime(2038, 1, 19, 3, 14, 8, 123456, tzinfo=UTC),
                datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            ],
            MOMENT,
        ),
        "clock": pa.array(
            [
                datetime(9999, 12, 31, 23, 59, 59, 999999),
                datetime(1, 1, 1, 0, 0, 0, 1),
                None,
                datetime(1900, 2, 28, 12, 0, 0, 500001),
                datetime(2026, 3, 29, 2, 30, 0, 1),
            ],
            CLOCK,
        ),
        "day": pa.array([date(1, 1, 1), date(9999, 12, 31), None, date(1970, 1, 1), date(2024, 2, 29)], pa.date32()),
        "truth": pa.array([True, False, None, True, False], pa.bool_()),
        "number": pa.array([2**63 - 1, -(2**63), None, 0, 2**53 + 1], pa.int64()),
        "measure": pa.array([0.1, None, 1.7976931348623157e308, -0.0, 5e-324], pa.float64()),
    }
)


@pytest.fixture
def readers(on_trino: Engine, trino_server: Trino, aws: Aws, tmp_path: Path) -> Readers:
    return Readers(on_trino, trino_server, aws, tmp_path)


def has_position_deletes(table: Table) -> bool:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    return any(manifest.content == ManifestContent.DELETES for manifest in snapshot.manifests(table.io))


def test_every_type_at_its_ends_written_by_pyiceberg(on_trino: Engine, readers: Readers) -> None:
    name = f"{on_trino.environment.operations_namespace}.extremes"
    on_trino.catalog.create_table(name, EXTREMES.schema).append(EXTREMES)
    assert len(readers.agreed(name)) == EXTREMES.num_rows
    assert readers.types(name) == {
        "text": ("varchar", "VARCHAR"),
        "moment": ("timestamp(6) with time zone", "TIMESTAMP WITH TIME ZONE"),
        "clock": ("timestamp(6)", "TIMESTAMP"),
        "day": ("date", "DATE"),
        "truth": ("boolean", "BOOLEAN"),
        "number": ("bigint", "BIGINT"),
        "measure": ("double", "DOUBLE"),
    }


def test_every_type_at_its_ends_written_by_trino(on_trino: Engine, readers: Readers) -> None:
    """The same values, which Trino has copied: what it cannot write would differ from what was read."""
    namespace = on_trino.environment.operations_namespace
    on_trino.catalog.create_table(f"{namespace}.extremes", EXTREMES.schema).append(EXTREMES)
    readers.trino(f"create table {namespace}.copied as select * from {namespace}.extremes")
    assert readers.agreed(f"{namespace}.copied") == readers.by_pyiceberg(f"{namespace}.extremes")
    assert on_trino.rows(f"{namespace}.copied").schema.types == on_trino.rows(f"{namespace}.extremes").schema.types


def test_what_the_upsert_writes_is_read_by_all(on_trino: Engine, readers: Readers) -> None:
    """Mirror, log and quarantine: after upserts, after rows were removed, and after compaction."""
    pipeline = Pipeline(on_trino, USER)
    refusing = Refusing(pipeline, seed=1)
    for batch in Generator(USER, seed=1, records=60, runs=4).batches():
        refusing.deliver(batch)
    tables = pipeline.tables
    names = (tables.mirror, tables.changes, tables.quarantine)
    told = {name: readers.agreed(name) for name in names}
    assert all(told.values())

    gone = Wanted(tuple(sorted(pipeline.mirror()))[:9])
    for name in names:
        remove_rows(pipeline.catalog.load_table(name), gone, column="id")
    left = {name: readers.agreed(name) for name in names}
    assert all(len(left[name]) < len(told[name]) for name in (tables.mirror, tables.changes))

    compacted = compact(pipeline.catalog.load_table(tables.changes), from_files=2, file_bytes=2**20)
    assert compacted.files > compacted.into
    assert {name: readers.agreed(name) for name in names} == left


def test_what_trino_merges_is_read_by_all(on_trino: Engine, readers: Readers) -> None:
    """The dimension with position deletes, the snapshot after an update, the ledger; and the run's metrics of them."""
    pipeline, lake = Pipeline(on_trino, USER), Lake(USER)
    first, *others = Generator(USER, seed=2, records=120, runs=4).batches()
    deliver(pipeline, lake, [first])
    build(on_trino, "user")
    before, known = current_snapshot_id(on_trino.catalog, pipeline.tables.dimension), dimension(lake.log)
    deliver(pipeline, lake, others)
    build(on_trino, "user")
    now = dimension(lake.log)

    for name in (pipeline.tables.dimension, pipeline.tables.snapshot):
        assert has_position_deletes(on_trino.catalog.load_table(name)), f"{name}: Trino has hidden no row"
    for name in (pipeline.tables.dimension, pipeline.tables.snapshot, pipeline.tables.ledger):
        assert readers.agreed(name)
    found = differences(USER, pipeline.dimension(), now)
    assert not found, report(found)

    counts = count_versions(on_trino.catalog, pipeline.tables.dimension, before=before)
    were, are = {row["_scd_id"] for row in known}, {row["_scd_id"] for row in now}
    current_then = {row["_scd_id"] for row in known if row["is_current"]}
    current_now = {row["_scd_id"]: row["is_deleted"] for row in now if row["is_current"]}
    gone_then = {row["_scd_id"] for row in known if row["is_current"] and row["is_deleted"]}
    gone_now = {version for version, deleted in current_now.items() if deleted}
    assert counts.opened == len(are - were)
    assert counts.closed == len(current_then - set(current_now))
    assert counts.deleted == len(gone_now - gone_then)
    assert (counts.versions, counts.current) == (len(now), len(current_now))
    assert counts.live == len(current_now) - len(gone_now)
    sizes = measure_tables(
        on_trino.catalog, pipeline.tables, operations_namespace=on_trino.environment.operations_namespace
    )
    assert {size.role: size.records for size in sizes}["dimension"] == len(now)


def test_readers_that_disagree_are_told_of(on_trino: Engine, readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{on_trino.environment.operations_namespace}.extremes"
    on_trino.catalog.create_table(name, EXTREMES.schema).append(EXTREMES)
    fewer = readers.by_duckdb(name)[1:]
    monkeypatch.setattr(Readers, "by_duckdb", lambda *_: fewer)
    with pytest.raises(AssertionError, match="DuckDB reads other rows"):
        readers.agreed(name)


def deliver(pipeline: Pipeline, lake: Lake, batches: list) -> None:
    for batch in batches:
        lake.deliver(batch)
        pipeline.deliver(batch)
