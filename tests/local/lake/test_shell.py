"""The SQL shell: exact CSV, every table and view by its plain name, beside a writer, and clear errors."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from local.lake import shell
from local.lake.catalog import LakeFolder, lake_folder
from local.lake.duckdb_plugin import attach_lake
from local.lake.extensions import load_extensions
from local.lake.output import write_rows

PROJECT = Path(__file__).resolve().parents[3]
ROWS = pa.table(
    {
        "id": pa.array(["1", "2", "3"]),
        "text": pa.array(['comma, quote " and\nline', "", None]),
        "flag": pa.array([True, False, None]),
        "at": pa.array(
            [datetime(1, 1, 1, tzinfo=UTC), datetime(2026, 1, 5, 7, 12, 0, 1, tzinfo=UTC), None],
            pa.timestamp("us", tz="UTC"),
        ),
    }
)


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LakeFolder:
    """A lake with one raw table, one without a snapshot, and dbt's file with a view on the raw one."""
    monkeypatch.setenv("SF_HISTORY_LAKE", str(tmp_path / "lake"))
    folder = lake_folder()
    catalog = folder.open_catalog()
    for namespace in ("sf_raw", "sf_curated"):
        catalog.create_namespace(namespace)
    catalog.create_table("sf_raw.sf_user", ROWS.schema).append(ROWS)
    catalog.create_table("sf_raw.sf_user_quarantine", ROWS.schema)
    with duckdb.connect(folder.views_file) as connection:
        load_extensions(connection, folder.extension_folder)
        attach_lake(connection, folder)
        connection.execute("CREATE SCHEMA sf_curated")
        connection.execute('CREATE VIEW sf_curated.stg_sf_user AS SELECT id FROM "lake"."sf_raw"."sf_user"')
        connection.execute('CREATE VIEW sf_curated.last AS SELECT max(id) AS id FROM "views".sf_curated.stg_sf_user')
        connection.execute("CREATE TABLE sf_curated.int_sf_user AS SELECT 7 AS n")
    return folder


def ask(capsys: pytest.CaptureFixture[str], query: str, form: str = "csv") -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one query."""
    code = shell.main(["--query", query, "--format", form])
    return code, *capsys.readouterr()


def test_csv_is_exact(lake, capsys):
    code, out, err = ask(capsys, "select * from sf_raw.sf_user order by id")
    assert (code, err) == (0, "")
    assert out == (
        "id,text,flag,at\n"
        '1,"comma, quote "" and\nline",true,0001-01-01 00:00:00\n'
        '2,"",false,2026-01-05 07:12:00.000001\n'
        "3,,,\n"
    )


def test_csv_of_a_single_null_is_no_blank_line(lake, capsys):
    assert ask(capsys, "select null as x")[1] == 'x\n""\n'


def test_json_keeps_types(lake, capsys):
    query = "select id, flag, text, \"at\", [1, null] as list from sf_raw.sf_user where id = '3'"
    _, out, _ = ask(capsys, query, "json")
    assert json.loads(out) == [{"id": "3", "flag": None, "text": None, "at": None, "list": [1, None]}]
    assert json.loads(ask(capsys, "select 1 where false", "json")[1]) == []


def test_table_says_how_many_rows(lake, capsys):
    _, out, _ = ask(capsys, "select id from sf_raw.sf_user", "table")
    assert "id" in out
    assert "3 rows" in out


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("select count(*) as n from sf_raw.sf_user_quarantine", "n\n0\n"),
        ("select count(*) as n from sf_curated.stg_sf_user", "n\n3\n"),
        ("select id from sf_curated.last", "id\n3\n"),
        ("select n from sf_curated.int_sf_user", "n\n7\n"),
        ("select id from lake.sf_raw.sf_user where flag", "id\n1\n"),
    ],
    ids=["table without a snapshot", "view", "view on a view", "dbt's own table", "name with the database"],
)
def test_every_table_and_view_is_there_by_its_plain_name(lake, capsys, query, answer):
    assert ask(capsys, query) == (0, answer, "")


def test_an_error_in_the_sql_is_one_line(lake, capsys):
    code, out, err = ask(capsys, "select nonsense from sf_raw.sf_user")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "nonsense" in err


def test_without_a_lake_it_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SF_HISTORY_LAKE", str(tmp_path / "nothing"))
    code, out, err = ask(capsys, "select 1")
    assert (code, out) == (2, "")
    assert err == f"no lake at {tmp_path / 'nothing'}: run `make run` first\n"
    assert not (tmp_path / "nothing").exists()


def test_reading_goes_on_while_dbt_holds_its_file(lake, monkeypatch):
    """DuckDB lets one process write a file; the Iceberg tables are readable all the same."""
    with duckdb.connect(lake.views_file) as writer:
        writer.execute("CREATE TABLE sf_curated.more AS SELECT 1 AS n")
        done = run_shell("--query", "select count(*) as n from sf_raw.sf_user", "--format", "csv")
    assert (done.returncode, done.stdout) == (0, "n\n3\n")
    assert "dbt is writing to views.duckdb" in done.stderr


def test_a_reader_does_not_keep_dbt_out(lake, monkeypatch, capsys):
    """An open prompt holds no lock: a writer gets in between two statements."""

    def lines():
        yield "select id from sf_curated.last;"
        with duckdb.connect(lake.views_file) as writer:
            writer.execute("CREATE TABLE sf_curated.more AS SELECT 1 AS n")
        lake.open_catalog().load_table("sf_raw.sf_user").append(ROWS)
        yield "select count(*) as rows"
        yield "from sf_raw.sf_user;"
        yield ".refresh"
        yield "select count(*) as rows from sf_raw.sf_user, sf_curated.more;"
        yield ".tables"
        yield ".schema sf_curated.more"
        yield ".help"
        yield ".quit"

    typed = lines()
    monkeypatch.setattr("builtins.input", lambda _prompt: next(typed))
    assert shell.main(["--format", "csv"]) == 0
    out = capsys.readouterr().out
    assert "id\n3\n" in out
    assert "rows\n3\n" in out
    assert "rows\n6\n" in out
    assert "sf_raw.sf_user_quarantine" in out
    assert "INTEGER" in out
    assert ".refresh" in out


def test_a_reader_that_has_seen_enough_is_no_error(lake):
    command = f"'{sys.executable}' -m local.lake.shell --format csv --query 'select * from range(1000000)' | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "range\n", "")


def run_shell(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The shell as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "local.lake.shell", *arguments],
        cwd=PROJECT, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_csv_goes_to_stdout_alone_and_in_utf8(lake):
    done = run_shell("--query", "select 'Zoë 😀' as name", "--format", "csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "name\nZoë 😀\n", "")


def test_rows_are_streamed(lake):
    out = io.StringIO()
    with duckdb.connect() as connection:
        write_rows(connection.execute("select * from range(25000)"), "csv", out)
    assert out.getvalue().count("\n") == 25_001
