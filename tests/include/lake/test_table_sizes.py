"""Table sizes against commits counted by hand, as pyiceberg and as DuckDB make them; and the table that keeps them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.expressions import EqualTo
from pyiceberg.manifest import ManifestFile

from include.lake.run_log import record_run
from include.lake.table_sizes import TableSize, measure_table, measure_tables, read_sizes, record_sizes
from local.lake.catalog import LakeFolder, lake_folder
from local.lake.duckdb_plugin import attach_lake
from local.lake.extensions import load_extensions

SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string())])


@pytest.fixture
def folder(tmp_path: Path) -> LakeFolder:
    found = lake_folder(tmp_path / "lake")
    found.open_catalog().create_namespace("ns")
    return found


@pytest.fixture
def catalog(folder: LakeFolder) -> SqlCatalog:
    return folder.open_catalog()


@pytest.fixture
def duck(folder: LakeFolder) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        load_extensions(connection, folder.extension_folder)
        attach_lake(connection, folder)
        yield connection


def rows(*numbers: int) -> pa.Table:
    return pa.table({"a": list(numbers), "b": [str(number) for number in numbers]}, schema=SCHEMA)


def measured(catalog: SqlCatalog, name: str = "ns.t") -> TableSize:
    return measure_table(catalog.load_table(name), role="mirror")


def counts(size: TableSize) -> tuple[int, int, int, int, int]:
    return size.snapshots, size.manifests, size.data_files, size.delete_files, size.records


def bytes_on_disk(catalog: SqlCatalog, name: str = "ns.t") -> int:
    """Bytes of all files in the table's data folder."""
    folder = Path(catalog.load_table(name).location().removeprefix("file://")) / "data"
    return sum(path.stat().st_size for path in folder.rglob("*.parquet"))


def test_a_table_without_a_commit_is_empty(catalog: SqlCatalog) -> None:
    catalog.create_table("ns.t", SCHEMA)
    size = measured(catalog)
    assert (*counts(size), size.bytes) == (0, 0, 0, 0, 0, 0)
    assert (size.table_name, size.role) == ("ns.t", "mirror")


def test_appends_and_overwrites_of_pyiceberg(catalog: SqlCatalog) -> None:
    table = catalog.create_table("ns.t", SCHEMA)
    for number in (1, 2, 3):
        table.append(rows(number, number * 10))
    assert counts(measured(catalog)) == (3, 3, 3, 0, 6)
    assert measured(catalog).bytes == bytes_on_disk(catalog)
    before = measured(catalog).bytes
    table.delete(EqualTo("a", 2))  # rewrites one file: two rows become one
    size = measured(catalog)
    assert (size.snapshots, size.data_files, size.delete_files, size.records) == (4, 3, 0, 5)
    live = sum(task.file.file_size_in_bytes for task in table.scan().plan_files())
    assert size.bytes == live < before
    table.overwrite(rows(7))
    size = measured(catalog)
    assert (size.data_files, size.records, size.bytes) == (
        1,
        1,
        next(iter(table.scan().plan_files())).file.file_size_in_bytes,
    )


def test_delete_files_of_duckdb(catalog: SqlCatalog, duck: duckdb.DuckDBPyConnection) -> None:
    catalog.create_table("ns.t", SCHEMA).append(rows(1, 2, 3, 4))
    duck.execute("insert into lake.ns.t values (5, '5')")
    assert counts(measured(catalog)) == (2, 2, 2, 0, 5)
    duck.execute("delete from lake.ns.t where a = 2")
    size = measured(catalog)
    assert counts(size) == (3, 3, 2, 1, 4)
    assert size.bytes == bytes_on_disk(catalog), "DuckDB writes no sum; it is made from the manifests"
    merge = (
        "merge into lake.ns.t as t using (values (3, 'merged'), (6, 'added')) as s (a, b) on t.a = s.a "
        "when matched then update set b = s.b when not matched then insert values (s.a, s.b)"
    )
    duck.execute(merge)
    size = measured(catalog)
    assert (size.data_files >= 3, size.delete_files >= 1) == (True, True)
    assert size.records == catalog.load_table("ns.t").scan().to_arrow().num_rows == 5


def test_manifests_are_not_opened_where_the_sum_is_written(
    catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = catalog.create_table("ns.t", SCHEMA)
    table.append(rows(1))

    def refuse(self: ManifestFile, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("a manifest was opened")

    monkeypatch.setattr(ManifestFile, "fetch_manifest_entry", refuse)
    assert measured(catalog).bytes > 0


def test_an_objects_tables_and_those_of_operations(lake: Any) -> None:
    def measure() -> list[TableSize]:
        return measure_tables(lake.catalog, lake.tables, operations_namespace="sf_ops")

    assert measure() == []
    lake.run([lake.record("005", 1)], end=2)
    record_run(lake.catalog, "sf_ops", {"run_id": "one", "object": "User"})
    sizes = measure()
    assert [(size.role, size.records) for size in sizes] == [
        ("mirror", 1),
        ("changes", 1),
        ("ledger", 0),
        ("operations", 1),
    ]
    tell = {"run_id": "one", "object_name": "User", "environment": "local"}
    record_sizes(lake.catalog, "sf_ops", sizes, **tell)
    again = [replace(size, records=9) for size in sizes]
    record_sizes(lake.catalog, "sf_ops", again, **tell)
    record_sizes(lake.catalog, "sf_ops", sizes[:1], **{**tell, "run_id": "two"})
    record_sizes(lake.catalog, "sf_ops", sizes[:1], **{**tell, "object_name": "Account"})
    assert read_sizes(lake.catalog, "sf_ops", run_id="one", object_name="User") == again
    assert read_sizes(lake.catalog, "sf_ops", run_id="two", object_name="User") == sizes[:1]
    assert len(list(lake.catalog.load_table("sf_ops.table_sizes").scan().plan_files())) == 1
    assert read_sizes(lake.catalog, "nowhere", run_id="one", object_name="User") == []
