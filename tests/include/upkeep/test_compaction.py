"""Compaction: fewer files, the very same rows, whatever another engine or a schema change has left in them."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

from include.lake.data_files import keyed_files, read_file
from include.lake.watermark import row_count
from include.upkeep.compaction import compact, plan_compaction
from include.upkeep.measure import measure
from local.lake.catalog import LakeFolder
from local.lake.duckdb_plugin import DATABASE, attach_lake
from local.lake.extensions import load_extensions
from tests.include.upkeep.conftest import rows_of

ICEBERG = Schema(
    NestedField(1, "id", StringType(), required=False),
    NestedField(2, "value", LongType(), required=False),
)
BY_ID = SortOrder(SortField(source_id=1, transform=IdentityTransform()))
FULL = {"write.metadata.metrics.column.id": "full"}
#: Small enough that a few hundred rows make several files.
FILE_BYTES = 8_192


def make(lake: Any, name: str = "t", **kwargs: Any) -> Table:
    lake.catalog.create_namespace_if_not_exists("n")
    created: Table = lake.catalog.create_table(f"n.{name}", ICEBERG, properties=FULL, **kwargs)
    return created


def put(table: Table, ids: list[str | None], value: int = 0) -> None:
    table.append(pa.table({"id": pa.array(ids, pa.string()), "value": pa.array([value] * len(ids), pa.int64())}))


def shrink(table: Table, **kwargs: Any) -> Any:
    return compact(table.refresh(), **{"from_files": 2, "file_bytes": FILE_BYTES, **kwargs})


def test_small_files_become_few_sorted_ones_and_a_second_time_nothing_happens(lake: Any) -> None:
    table = make(lake, sort_order=BY_ID)
    chance = random.Random(3)
    ids = [f"{number:06d}" for number in range(2_000)]
    chance.shuffle(ids)
    for start in range(0, 2_000, 20):
        put(table, ids[start : start + 20], start)
    before = rows_of(table)
    done = shrink(table)
    assert done.files == 100
    assert rows_of(table) == before
    files = keyed_files(table)
    assert len(files) == done.into < 12
    for file, following in itertools.pairwise(files):
        assert (file.upper or "") < (following.lower or "")
    for file in files:
        found = read_file(table, file, ["id"]).column("id").to_pylist()
        assert found == sorted(found)
    snapshots = len(table.snapshots())
    assert shrink(table).snapshot_id is None
    assert len(table.refresh().snapshots()) == snapshots
    assert measure(table).manifests == 1


def test_it_is_a_snapshot_that_says_no_row_has_changed(lake: Any) -> None:
    table = make(lake)
    for number in range(5):
        put(table, [str(number)])
    shrink(table)
    snapshot = table.refresh().current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert snapshot.summary.operation == Operation.REPLACE
    assert snapshot.summary["total-data-files"] == "1"
    assert row_count(table) == 5


@pytest.mark.parametrize("files", [1, 4])
def test_few_small_files_are_left_alone(lake: Any, files: int) -> None:
    table = make(lake)
    for number in range(files):
        put(table, [str(number)])
    assert shrink(table, from_files=5).snapshot_id is None
    put(table, ["more"])
    assert (shrink(table, from_files=5).snapshot_id is not None) == (files == 4)


def test_a_partitioned_table_is_done_partition_by_partition(lake: Any) -> None:
    spec = PartitionSpec(PartitionField(source_id=1, field_id=1000, transform=BucketTransform(4), name="id_bucket"))
    table = make(lake, partition_spec=spec)
    for number in range(30):
        put(table, [f"{number}-{more}" for more in range(20)], number)
    before = rows_of(table)
    assert shrink(table, file_bytes=10**6).into == 4
    assert rows_of(table) == before
    assert len({task.file.partition[0] for task in table.scan().plan_files()}) == 4


def test_missing_and_repeated_keys_stay(lake: Any) -> None:
    table = make(lake, sort_order=BY_ID)
    for number in range(40):
        put(table, [None, "a", "a", f"{number:03d}", "z"] * 10, number)
    before = rows_of(table)
    assert shrink(table).into > 1
    assert rows_of(table) == before


def test_what_another_engine_has_deleted_is_gone_and_so_are_its_delete_files(lake: Any) -> None:
    table = make(lake)
    for start in range(0, 1_000, 250):
        put(table, [f"{number:06d}" for number in range(start, start + 250)])
    with duckdb.connect() as connection:
        load_extensions(connection, lake.folder / "extensions")
        attach_lake(connection, LakeFolder(path=lake.folder))
        connection.execute(f"delete from {DATABASE}.n.t where id in ('000003', '000500', '000999')")
        connection.execute(f"update {DATABASE}.n.t set value = 7 where id = '000004'")
    before = rows_of(table)
    assert sum(before.values()) == 997
    assert measure(table).delete_files > 0
    planned = plan_compaction(table, from_files=100, file_bytes=10**6)
    assert planned.files >= 3
    shrink(table, from_files=100, file_bytes=10**6)
    assert rows_of(table) == before
    assert measure(table).delete_files == 0
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert snapshot.summary is not None
    assert (snapshot.summary["total-delete-files"], snapshot.summary["total-position-deletes"]) == ("0", "0")
    assert row_count(table) == 997
    with duckdb.connect() as connection:
        load_extensions(connection, lake.folder / "extensions")
        attach_lake(connection, LakeFolder(path=lake.folder))
        told = connection.execute(f"select count(*), sum(value) from {DATABASE}.n.t").fetchone()
        connection.execute(f"delete from {DATABASE}.n.t where id = '000005'")
    assert told == (997, 7)
    assert sum(rows_of(table).values()) == 996


def test_columns_that_came_later_are_null_in_the_older_rows(lake: Any) -> None:
    table = make(lake, sort_order=BY_ID)
    put(table, ["a", "b"])
    with table.update_schema() as update:
        update.add_column("later", StringType())
    table.append(pa.table({"id": ["c"], "value": [3], "later": ["here"]}))
    before = rows_of(table)
    assert shrink(table).files == 2
    assert rows_of(table) == before
    assert {row["id"]: row["later"] for row in table.scan().to_arrow().to_pylist()} == {
        "a": None,
        "b": None,
        "c": "here",
    }


def test_whoever_commits_meanwhile_wins_and_nothing_is_left_behind(lake: Any) -> None:
    table = make(lake)
    for number in range(5):
        put(table, [str(number)])
    stale = lake.catalog.load_table("n.t")
    put(table, ["other"])
    on_disk = {path for path in (lake.folder / "warehouse").rglob("*") if path.is_file()}
    with pytest.raises((CommitFailedException, ValidationException)):
        compact(stale, from_files=2, file_bytes=FILE_BYTES)
    assert {path for path in (lake.folder / "warehouse").rglob("*") if path.is_file()} == on_disk
    assert sum(rows_of(table).values()) == 6


def test_many_manifests_become_one_though_no_file_is_rewritten(lake: Any) -> None:
    table = make(lake)
    with table.transaction() as transaction:
        transaction.set_properties({"commit.manifest-merge.enabled": "false"})
    big = [f"{number:06d}" for number in range(300)]
    for number in range(20):
        put(table, big, number)
    before = rows_of(table)
    assert measure(table).manifests == 20
    done = shrink(table, file_bytes=6_000)
    assert (done.files, measure(table.refresh()).manifests) == (0, 1)
    assert rows_of(table) == before


_IDS = st.lists(st.one_of(st.none(), st.sampled_from("abcdefghij")), min_size=0, max_size=30)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _IDS),
        st.tuples(st.just("delete"), st.sampled_from("abcdefghij")),
        st.tuples(st.just("column"), st.just("")),
        st.tuples(st.just("compact"), st.just("")),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS, sort=st.booleans(), buckets=st.booleans())
def test_whatever_was_done_before_no_row_changes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Any], sort: bool, buckets: bool
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    catalog = SqlCatalog("c", uri=f"sqlite:///{folder / 'c.db'}", warehouse=f"file://{folder / 'w'}")
    catalog.create_namespace("n")
    spec = PartitionSpec(PartitionField(source_id=1, field_id=1000, transform=BucketTransform(3), name="b"))
    layout: dict[str, Any] = {
        **({"sort_order": BY_ID} if sort else {}),
        **({"partition_spec": spec} if buckets else {}),
    }
    table = catalog.create_table("n.t", ICEBERG, properties=FULL, **layout)
    for number, (step, what) in enumerate([*steps, ("compact", "")]):
        if step == "put" and what:
            names = table.schema().column_names
            columns = {"id": pa.array(what, pa.string()), "value": pa.array([number] * len(what), pa.int64())}
            columns |= {name: pa.array([name] * len(what)) for name in names if name not in columns}
            table.append(pa.table(columns))
        elif step == "delete":
            table.delete(f"id = '{what}'")
        elif step == "column":
            with table.update_schema() as update:
                update.add_column(f"later{number}", StringType())
        elif step == "compact":
            before: Counter[Any] = rows_of(table)
            compact(table, from_files=2, file_bytes=600)
            assert rows_of(catalog.load_table("n.t")) == before
