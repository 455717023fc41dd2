"""What counts as a change of a table's rows, on real Iceberg tables."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary

from include.lake import data_changes
from include.lake.data_changes import changed_since

NAME = "space.things"


@pytest.fixture
def catalog(tmp_path: Path) -> SqlCatalog:
    made = SqlCatalog("lake", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    made.create_namespace("space")
    return made


@pytest.fixture
def table(catalog: SqlCatalog) -> Table:
    return catalog.create_table(NAME, pa.schema([("id", pa.int64())]))


def current(table: Table) -> int:
    snapshot = table.refresh().current_snapshot()
    assert snapshot
    return snapshot.snapshot_id


def test_no_table_and_no_rows_are_no_change(catalog: SqlCatalog) -> None:
    assert changed_since(catalog, "space.nowhere", None) is None
    catalog.create_table(NAME, pa.schema([("id", pa.int64())]))
    assert changed_since(catalog, NAME, None) is None
    assert changed_since(catalog, NAME, 12345) is None


def test_rows_that_come_or_go_are_a_change_once(catalog: SqlCatalog, table: Table) -> None:
    table.append(pa.table({"id": [1, 2]}))
    first = current(table)
    assert changed_since(catalog, NAME, None) == first
    assert changed_since(catalog, NAME, first) is None
    table.delete("id = 2")
    assert changed_since(catalog, NAME, first) == current(table)
    assert changed_since(catalog, NAME, None) == current(table)


def test_properties_and_snapshots_without_rows_are_no_change(catalog: SqlCatalog, table: Table) -> None:
    table.append(pa.table({"id": [1]}))
    first = current(table)
    table.append(pa.table({"id": pa.array([], pa.int64())}))
    assert current(table) != first, "an empty append makes a snapshot: else this test tries nothing"
    with table.transaction() as change:
        change.set_properties({"watermark": "later"})
    assert changed_since(catalog, NAME, first) is None


def test_a_snapshot_that_has_expired_counts_as_a_change(catalog: SqlCatalog, table: Table) -> None:
    for number in range(3):
        table.append(pa.table({"id": [number]}))
    first = table.refresh().snapshots()[0].snapshot_id
    table.maintenance.expire_snapshots().by_id(first).commit()
    assert changed_since(catalog, NAME, first) == current(table)


@pytest.mark.parametrize(
    ("operation", "counts", "moves"),
    [
        (Operation.REPLACE, {"added-records": "9", "deleted-records": "9"}, False),
        (Operation.OVERWRITE, {"added-records": "9", "deleted-records": "9"}, True),
        (Operation.DELETE, {"added-delete-files": "1", "deleted-records": "0"}, True),
        (Operation.APPEND, {"added-records": "0", "total-records": "9"}, False),
        (Operation.APPEND, {"added-data-files": "1", "total-records": "9"}, False),
        (Operation.APPEND, {"engine-name": "somebody's"}, True),
    ],
    ids=["compaction", "rewrite", "merge on read", "nothing to do", "an empty file", "an engine that counts nothing"],
)
def test_what_a_summary_says(table: Table, operation: Operation, counts: dict[str, str], moves: bool) -> None:
    table.append(pa.table({"id": [1]}))
    snapshot = table.refresh().current_snapshot()
    assert snapshot
    summary = Summary(operation, **counts)
    assert data_changes._moves_rows(snapshot.model_copy(update={"summary": summary})) is moves
