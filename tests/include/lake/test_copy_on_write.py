"""The merge itself: what is rewritten, what is left alone, and that files and manifests stay few."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import duckdb
import pyarrow as pa
import pyiceberg
import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import LongType, NestedField, StringType

from include.lake.copy_on_write import Merged, merge
from include.lake.data_files import SortedIds, keyed_files, read_file
from include.lake.one_commit import commit_once
from include.lake.placement import locate
from local.lake.catalog import LakeFolder
from local.lake.duckdb_plugin import DATABASE, attach_lake
from local.lake.extensions import load_extensions

SCHEMA = pa.schema([("id", pa.string()), ("value", pa.int64()), ("text", pa.string())])
ICEBERG = Schema(
    NestedField(1, "id", StringType(), required=False),
    NestedField(2, "value", LongType(), required=False),
    NestedField(3, "text", StringType(), required=False),
)
#: Small enough that a few hundred rows make several files.
FILE_BYTES = 8_192


@pytest.fixture
def table(lake: Any) -> Table:
    """An unpartitioned table."""
    lake.catalog.create_namespace("n")
    created: Table = lake.catalog.create_table("n.t", ICEBERG, properties={"write.metadata.metrics.column.id": "full"})
    return created


def rows_of(numbers: Iterable[int], value: int) -> pa.Table:
    return pa.Table.from_pylist(
        [{"id": f"{number:06d}", "value": value, "text": "x" * 20} for number in sorted(set(numbers))], SCHEMA
    )


def put(table: Table, numbers: Iterable[int], value: int, **kwargs: Any) -> Merged:
    rows = rows_of(numbers, value)
    table.refresh()
    placement = locate(table, SortedIds(rows.column("id").combine_chunks()), ["id"])
    return merge(table, rows, placement, file_bytes=FILE_BYTES, **kwargs)


def contents(table: Table) -> dict[int, int]:
    found = table.refresh().scan().to_arrow()
    result = dict(
        zip((int(key) for key in found.column("id").to_pylist()), found.column("value").to_pylist(), strict=True)
    )
    assert len(result) == found.num_rows, "an id is there twice"
    return result


def paths(table: Table) -> set[str]:
    return {file.path for file in keyed_files(table.refresh())}


def test_only_the_files_that_hold_a_changed_row_are_rewritten(table: Table) -> None:
    put(table, range(0, 2_000, 2), 0)
    before = paths(table)
    assert len(before) > 4
    merged = put(table, [1_100, 1_102], 1)
    assert (merged.inserted, merged.updated) == (0, 2)
    assert len(before - paths(table)) == 1
    assert contents(table) == {number: int(number in (1_100, 1_102)) for number in range(0, 2_000, 2)}
    assert len(table.snapshots()) == 2


def test_every_file_stays_in_the_order_of_its_ids(table: Table) -> None:
    put(table, range(0, 2_000, 2), 0)
    put(table, [*range(500, 600), 1_501, 3_000], 1)
    for file in keyed_files(table.refresh()):
        ids = read_file(table, file, ["id"]).column("id").to_pylist()
        assert ids == sorted(ids)
        assert (file.lower, file.upper) == (ids[0], ids[-1])


def test_new_rows_join_the_rewritten_file_around_them_or_the_small_one_at_the_end(table: Table) -> None:
    put(table, range(0, 2_000, 2), 0)
    put(table, [1_000, 1_001], 1)
    files = len(paths(table))
    put(table, [2_001], 2)
    put(table, [2_003], 3)
    assert len(paths(table)) <= files + 1
    assert contents(table)[1_001] == 1
    assert contents(table)[2_003] == 3


def test_random_merges_equal_a_dict(table: Table) -> None:
    chance = random.Random(11)
    expected: dict[int, int] = {}
    for value in range(60):
        numbers = [chance.randint(0, 1_500) for _ in range(chance.choice([1, 5, 50, 300]))]
        merged = put(table, numbers, value)
        assert merged.updated == len(set(numbers) & set(expected))
        assert merged.inserted == len(set(numbers) - set(expected))
        expected.update(dict.fromkeys(numbers, value))
        if value % 10 == 9:
            assert contents(table) == expected
    assert contents(table) == expected


def test_files_and_manifests_stay_few_over_200_merges(table: Table) -> None:
    chance = random.Random(5)
    newest = 0
    for value in range(200):
        fresh = range(newest, newest + chance.randint(0, 6))
        newest += len(fresh)
        put(table, [*fresh, chance.randint(0, newest)], value)
    rows = len(contents(table))
    files = keyed_files(table.refresh())
    snapshot = table.current_snapshot()
    assert snapshot is not None
    least = rows * 40 / FILE_BYTES
    assert len(files) <= 4 * least + 2
    assert len(snapshot.manifests(table.io)) <= 20
    assert len(table.snapshots()) == 200


def test_a_bucketed_table_is_merged_as_well(lake: Any) -> None:
    lake.catalog.create_namespace("n")
    spec = PartitionSpec(PartitionField(source_id=1, field_id=1000, transform=BucketTransform(4), name="id_bucket"))
    table = lake.catalog.create_table("n.t", ICEBERG, partition_spec=spec)
    put(table, range(400), 0)
    before = paths(table)
    put(table, [7, 401], 1)
    assert len(before - paths(table)) == 1
    assert contents(table) == {**dict.fromkeys(range(400), 0), 7: 1, 401: 1}


@pytest.mark.skipif(
    pyiceberg.__version__.startswith("0.11."), reason="pyiceberg before 0.12 misreads the manifests that DuckDB writes"
)
def test_position_deletes_of_another_engine_are_honoured(lake: Any, table: Table) -> None:
    put(table, range(100), 0)
    with duckdb.connect() as connection:
        load_extensions(connection, lake.folder / "extensions")
        attach_lake(connection, LakeFolder(path=lake.folder))
        connection.execute(f"delete from {DATABASE}.n.t where id in ('000003', '000050')")
    assert sorted(set(range(100)) - set(contents(table))) == [3, 50]
    assert any(file.task.delete_files for file in keyed_files(table.refresh()))
    merged = put(table, [4, 50], 1)
    assert (merged.inserted, merged.updated) == (1, 1)
    expected = {number: int(number in (4, 50)) for number in range(100) if number != 3}
    assert contents(table) == expected


def test_files_without_bounds_are_searched(lake: Any) -> None:
    lake.catalog.create_namespace("n")
    table = lake.catalog.create_table("n.t", ICEBERG, properties={"write.metadata.metrics.default": "none"})
    put(table, range(50), 0)
    put(table, [7], 1)
    assert all(file.lower is None for file in keyed_files(table.refresh()))
    assert contents(table) == {number: int(number == 7) for number in range(50)}


def test_a_merge_planned_on_old_metadata_is_refused_and_leaves_no_file(lake: Any, table: Table) -> None:
    put(table, range(100), 0)
    stale = lake.catalog.load_table("n.t")
    rows = rows_of([5], 2)
    placement = locate(stale, SortedIds(rows.column("id").combine_chunks()), ["id"])
    put(table, [5], 1)
    on_disk = {path.name for path in (lake.folder / "warehouse").rglob("*.parquet")}
    with pytest.raises(Exception, match=r"another writer|has changed"):
        merge(stale, rows, placement)
    assert {path.name for path in (lake.folder / "warehouse").rglob("*.parquet")} == on_disk
    assert contents(table)[5] == 1


def test_a_property_that_moved_since_planning_is_noticed_without_any_snapshot(lake: Any, table: Table) -> None:
    stale = lake.catalog.load_table("n.t")
    commit_once(table, properties={"watermark": "2"}, unmoved=["watermark"])
    with pytest.raises(CommitFailedException, match="watermark is '2' by now, was None"):
        commit_once(stale, properties={"watermark": "1"}, unmoved=["watermark"])
    assert lake.catalog.load_table("n.t").properties["watermark"] == "2"
    assert table.snapshots() == []
