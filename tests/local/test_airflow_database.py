"""Airflow's processes share one SQLite file on a laptop: one that has read before it writes waits for the others."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from local.airflow_database import CONNECT_ARGS, connect_args
from local.airflow_home import AirflowHome
from local.org.handle import start_org
from tests.airflow_process import run_in_airflow


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "airflow.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table runs (id integer)")
    return file


def read_behind_a_savepoint(connection: sqlite3.Connection) -> None:
    cursor = connection.cursor()
    cursor.execute("SAVEPOINT sa_savepoint_1")
    assert cursor.execute("select count(*) from runs").fetchone() == (0,)


def test_what_reads_behind_a_savepoint_can_write_after_it(database: Path) -> None:
    with (
        closing(sqlite3.connect(database, **CONNECT_ARGS)) as first,
        closing(sqlite3.connect(database, **{**CONNECT_ARGS, "timeout": 0.0})) as second,
    ):
        read_behind_a_savepoint(first)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            second.execute("insert into runs values (2)")
        first.execute("insert into runs values (1)")
        first.execute("RELEASE SAVEPOINT sa_savepoint_1")
        first.commit()
        second.execute("insert into runs values (2)")
        second.commit()
        assert first.execute("select id from runs order by id").fetchall() == [(1,), (2,)]


def test_sqlite_by_itself_refuses_it_at_once(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=30)) as first, closing(sqlite3.connect(database)) as second:
        read_behind_a_savepoint(first)
        second.execute("insert into runs values (2)")
        second.commit()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            first.execute("insert into runs values (1)")


SCRIPT = """
import asyncio
from sqlalchemy import text
from airflow import settings

settings.initialize()

async def connection():
    async with settings.async_engine.connect() as found:
        kind = type((await found.get_raw_connection()).driver_connection._conn)
    await settings.async_engine.dispose()
    return kind

with settings.Session() as session, session.begin_nested():
    print(type(session.connection().connection.driver_connection).__name__)
    print(session.connection().connection.driver_connection.in_transaction)
    print(session.scalar(text("pragma busy_timeout")))
print(asyncio.run(connection()).__name__)
"""


@pytest.mark.parametrize(("server", "patience"), [(False, "30000"), (True, "5000")])
def test_airflow_is_patient_on_a_laptop(tmp_path: Path, server: bool, patience: str) -> None:
    home = AirflowHome(tmp_path)
    with start_org(home.org) as org:
        done = run_in_airflow(home.folder, SCRIPT, **home.variables(org, extra=connect_args(server=server)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["PatientConnection", "True", patience, "PatientConnection"]
