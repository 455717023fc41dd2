"""The Iceberg REST endpoint: DuckDB and pyiceberg see one lake, and a conflict is a conflict for both."""

from __future__ import annotations

import json
import multiprocessing
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyiceberg.types import BooleanType

from local.lake.catalog import LakeFolder, lake_folder
from local.lake.duckdb_plugin import attach_lake
from local.lake.extensions import load_extensions
from local.lake.rest_catalog import RestCatalogServer


@pytest.fixture
def lake(tmp_path: Path) -> LakeFolder:
    """A lake with one namespace and nothing in it."""
    folder = lake_folder(tmp_path / "lake")
    folder.open_catalog().create_namespace("ns")
    return folder


@pytest.fixture
def connect(lake):
    """Opens connections of DuckDB to the lake, closed at the end."""
    opened = []

    def open_one() -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect()
        opened.append(connection)
        load_extensions(connection, lake.extension_folder)
        attach_lake(connection, lake)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def server(lake):
    """An endpoint of this test's own."""
    server = RestCatalogServer(catalog=lake.open_catalog())
    server.serve_in_background()
    yield server
    server.shutdown()
    server.server_close()


def rows(lake: LakeFolder, table: str) -> list[dict[str, Any]]:
    """What pyiceberg reads."""
    return lake.open_catalog().load_table(table).scan().to_arrow().sort_by("a").to_pylist()


def request(url: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    """Status and answer of a request."""
    data = json.dumps(body).encode() if body is not None else None
    asked = urllib.request.Request(url, data, method=method)  # noqa: S310 - the endpoint of this test
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read()
        return error.code, json.loads(text) if text else None


def test_what_duckdb_writes_pyiceberg_reads(lake, connect):
    duck = connect()
    duck.execute("create table lake.ns.t (a bigint, b varchar)")
    duck.execute("insert into lake.ns.t values (1, 'x'), (2, 'y'), (3, 'z')")
    assert [row["b"] for row in rows(lake, "ns.t")] == ["x", "y", "z"]
    duck.execute("update lake.ns.t set b = 'new' where a = 1")
    duck.execute("delete from lake.ns.t where a = 2")
    duck.execute(
        "merge into lake.ns.t as t using (values (3, 'merged'), (4, 'added')) as s (a, b) on t.a = s.a "
        "when matched then update set b = s.b when not matched then insert values (s.a, s.b)"
    )
    assert rows(lake, "ns.t") == [{"a": 1, "b": "new"}, {"a": 3, "b": "merged"}, {"a": 4, "b": "added"}]
    duck.execute("create table lake.ns.copied as select * from lake.ns.t where a > 1")
    assert [row["a"] for row in rows(lake, "ns.copied")] == [3, 4]
    duck.execute("drop table lake.ns.copied")
    assert not lake.open_catalog().table_exists("ns.copied")


def test_what_pyiceberg_writes_duckdb_reads(lake, connect):
    duck = connect()
    table = lake.open_catalog().create_table("ns.t", pa.schema({"a": pa.int64(), "b": pa.string()}))
    table.append(pa.table({"a": [1], "b": ["x"]}))
    assert duck.execute("select * from lake.ns.t").fetchall() == [(1, "x")]
    with table.update_schema() as update:
        update.add_column("c", BooleanType())
    table.append(pa.table({"a": [2], "b": ["y"], "c": [True]}))
    assert duck.execute("select * from lake.ns.t order by a").fetchall() == [(1, "x", None), (2, "y", True)]


def test_a_transaction_that_fails_leaves_nothing_behind(lake, connect):
    duck = connect()
    duck.execute("create table lake.ns.t (a bigint)")
    duck.execute("begin")
    duck.execute("insert into lake.ns.t values (1)")
    duck.execute("rollback")
    assert rows(lake, "ns.t") == []
    assert lake.open_catalog().load_table("ns.t").metadata.snapshots == []


def test_of_two_commits_on_the_same_state_the_second_is_a_conflict(lake, connect):
    connect().execute("create table lake.ns.t (a bigint)")
    duck = connect()
    duck.execute("begin")
    duck.execute("insert into lake.ns.t values (1)")
    lake.open_catalog().load_table("ns.t").append(pa.table({"a": [2]}))
    with pytest.raises(duckdb.Error, match=r"409|Conflict"):
        duck.execute("commit")
    assert rows(lake, "ns.t") == [{"a": 2}]


def test_a_commit_whose_requirement_does_not_hold_is_answered_with_409(lake, server):
    table = lake.open_catalog().create_table("ns.t", pa.schema({"a": pa.int64()}))
    commit = {
        "requirements": [{"type": "assert-ref-snapshot-id", "ref": "main", "snapshot-id": 42}],
        "updates": [{"action": "set-properties", "updates": {"x": "y"}}],
    }
    status, answer = request(f"{server.url}/v1/namespaces/ns/tables/t", "POST", commit)
    assert (status, answer["error"]["type"], answer["error"]["code"]) == (409, "CommitFailedException", 409)
    assert table.refresh().properties == {}


def test_of_many_commits_at_once_every_accepted_one_is_there(lake, server):
    lake.open_catalog().create_table("ns.t", pa.schema({"a": pa.int64()}))

    def commit(number: int) -> int:
        body = {"requirements": [], "updates": [{"action": "set-properties", "updates": {f"p{number}": "x"}}]}
        return request(f"{server.url}/v1/namespaces/ns/tables/t", "POST", body)[0]

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(commit, range(24)))
    assert set(statuses) <= {200, 409}
    accepted = {f"p{number}" for number, status in enumerate(statuses) if status == 200}
    assert set(lake.open_catalog().load_table("ns.t").properties) == accepted


def test_a_staged_table_exists_only_after_its_first_commit(lake, server):
    tables = f"{server.url}/v1/namespaces/ns/tables"
    schema = {"type": "struct", "schema-id": 0, "fields": [{"id": 1, "name": "a", "type": "long", "required": False}]}
    status, staged = request(tables, "POST", {"name": "t", "schema": schema, "stage-create": True})
    assert status == 200
    assert Path(staged["metadata"]["location"].removeprefix("file://"), "metadata").is_dir()
    assert request(f"{tables}/t")[0] == 404
    lake.open_catalog().create_table("ns.t", pa.schema({"a": pa.int64()}))
    status, answer = request(f"{tables}/t", "POST", {"requirements": [{"type": "assert-create"}], "updates": []})
    assert (status, answer["error"]["type"]) == (409, "CommitFailedException")
    assert request(tables, "POST", {"name": "t", "schema": schema, "stage-create": True})[0] == 409


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "namespaces/no", None, (404, "NoSuchNamespaceError")),
        ("GET", "namespaces/no/tables", None, (404, "NoSuchNamespaceError")),
        ("GET", "namespaces/ns/tables/no", None, (404, "NoSuchTableError")),
        ("POST", "namespaces/ns/tables/no", {"requirements": [], "updates": []}, (404, "NoSuchTableError")),
        ("DELETE", "namespaces/ns/tables/no", None, (404, "NoSuchTableError")),
        ("POST", "namespaces", {"namespace": ["ns"]}, (409, "NamespaceAlreadyExistsError")),
        ("POST", "namespaces/ns/tables", {"name": "t"}, (400, "BadRequestException")),
        ("GET", "nothing", None, (404, "NotFoundException")),
    ],
)
def test_errors_are_those_of_the_protocol(server, method, path, body, expected):
    code, answer = request(f"{server.url}/v1/{path}", method, body)
    assert (code, answer["error"]["type"], answer["error"]["code"]) == (*expected, expected[0])
    assert answer["error"]["message"]


def test_namespaces_come_and_go(server):
    namespaces = f"{server.url}/v1/namespaces"
    assert request(f"{namespaces}/new", "HEAD")[0] == 404
    assert request(namespaces, "POST", {"namespace": ["new"]})[0] == 200
    assert request(f"{namespaces}/new", "HEAD")[0] == 204
    assert request(namespaces)[1] == {"namespaces": [["new"], ["ns"]]}
    assert request(f"{namespaces}/new", "DELETE")[0] == 204
    assert request(namespaces)[1] == {"namespaces": [["ns"]]}


def test_only_this_machine_is_answered(server):
    assert server.server_address[0] == "127.0.0.1"


def _count_in_child(path: Path, answers: multiprocessing.Queue) -> None:
    lake = lake_folder(path)
    with duckdb.connect() as connection:
        load_extensions(connection, lake.extension_folder)
        attach_lake(connection, lake)
        answers.put(connection.execute("select count(*) from lake.ns.t").fetchone())


def test_a_forked_child_gets_an_endpoint_of_its_own(lake, connect):
    """Airflow's LocalExecutor forks: the child inherits the parent's endpoint, but not the thread that answers."""
    connect().execute("create table lake.ns.t (a bigint)")
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_count_in_child, args=(lake.path, answers))
    child.start()
    try:
        assert answers.get(timeout=60) == (0,)
    finally:
        child.join(timeout=60)
        child.kill()
    assert child.exitcode == 0
