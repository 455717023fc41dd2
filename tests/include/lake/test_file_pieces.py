"""Data files are read and written a piece at a time: pieces of any size say the same, and none is lost."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField, StringType

from include.lake import file_reading, file_writing
from include.lake.copy_on_write import merge
from include.lake.data_files import SortedIds, keyed_files, read_file, write_files
from include.lake.file_reading import read_pieces
from include.lake.one_commit import commit_once
from include.lake.placement import locate

SCHEMA = pa.schema([("id", pa.string()), ("value", pa.int64())])


def rows_of(numbers: range, value: int) -> pa.Table:
    return pa.table({"id": [f"{number:06d}" for number in numbers], "value": [value] * len(numbers)}, SCHEMA)


@pytest.fixture
def table(lake: Any, monkeypatch: pytest.MonkeyPatch) -> Table:
    """1,000 even numbers in one file of ten row groups; pieces of 100 rows."""
    for module in (file_reading, file_writing):
        monkeypatch.setattr(module, "PIECE_VALUES", 200)
    lake.catalog.create_namespace("n")
    schema = Schema(NestedField(1, "id", StringType()), NestedField(2, "value", LongType()))
    made: Table = lake.catalog.create_table("n.t", schema, properties={"write.metadata.metrics.column.id": "full"})
    commit_once(made, added=write_files(made, rows_of(range(0, 2_000, 2), 0)))
    return made


def test_a_file_is_written_in_row_groups_and_read_in_pieces(table: Table) -> None:
    [file] = keyed_files(table)
    assert pq.read_metadata(file.path.removeprefix("file://")).num_row_groups == 10
    assert [piece.num_rows for piece in read_pieces(table, file.task)] == [100] * 10
    assert read_file(table, file).equals(rows_of(range(0, 2_000, 2), 0))


def test_a_merge_across_pieces_keeps_every_row_and_splits_a_file_that_is_too_large(table: Table) -> None:
    changes = rows_of(range(150, 1_999, 7), 1)
    placement = locate(table, SortedIds(changes.column("id").combine_chunks()), ["id"])
    merge(table, changes, placement, file_bytes=8_192)
    files = keyed_files(table.refresh())
    assert len(files) > 1
    found = pa.concat_tables([read_file(table, file) for file in files])
    expected = dict.fromkeys(range(0, 2000, 2), 0) | dict.fromkeys(range(150, 1_999, 7), 1)
    assert (
        dict(zip(map(int, found.column("id").to_pylist()), found.column("value").to_pylist(), strict=True)) == expected
    )
    assert found.column("id").to_pylist() == [f"{number:06d}" for number in sorted(expected)]


def test_a_column_added_since_is_null_in_the_files_before_it(table: Table) -> None:
    with table.update_schema() as update:
        update.add_column("text", StringType())
    [file] = keyed_files(table.refresh())
    assert read_file(table, file).column("text").null_count == 1_000
    assert read_file(table, file, ["id"]).num_rows == 1_000


def test_no_rows_make_no_file(table: Table) -> None:
    assert write_files(table, SCHEMA.empty_table()) == []
