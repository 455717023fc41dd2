"""The weekly upkeep as statements of a real Trino, sent by Airflow's Trino hook; and a load that goes on after it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pyiceberg.table import Table

from include.upkeep.tables import object_tables
from local.cloud.trino import CATALOG, Trino
from salesforce_history.engines import keep_table
from tests.engines.engines import Engine
from tests.engines.replay import build
from tests.oracle.histories import Generator
from tests.oracle.reads import Lake
from tests.oracle.shapes import USER
from tests.property.pipeline import Pipeline
from tests.property.test_history_property import check, deliver

pytestmark = pytest.mark.trino


@pytest.fixture(autouse=True)
def as_a_worker_has_them(on_trino: Engine) -> Iterator[None]:
    """What the upkeep reads beside the catalog, it reads as its environment says."""
    with on_trino.environment_variables():
        yield


def data_files(table: Table) -> int:
    return len({task.file.file_path for task in table.scan().plan_files()})


def test_trino_keeps_the_tables_and_the_history_goes_on(
    on_trino: Engine, trino_server: Trino, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {
        "conn_type": "trino",
        "host": "127.0.0.1",
        "port": trino_server.port,
        "login": "airflow",
        "extra": {"catalog": CATALOG},
    }
    monkeypatch.setenv("AIRFLOW_CONN_TRINO_DEFAULT", json.dumps(connection))
    pipeline, lake = Pipeline(on_trino, USER), Lake(USER)
    *past, last = Generator(USER, seed=4, records=40, runs=6).batches()
    for batch in past:
        deliver(pipeline, lake, batch)
    build(on_trino, "user")
    check(pipeline, lake, "before")
    before = pipeline.catalog.load_table(pipeline.tables.changes)

    for kept in object_tables(pipeline.object_file, on_trino.environment):
        report = keep_table(
            on_trino.catalog,
            kept,
            on_trino.environment,
            now=datetime.now(UTC),
            dry_run=False,
        )
        if kept.place == "quarantine":
            assert report is None
            continue
        assert report is not None
        assert report.engine == "trino"
        assert report.after.records == report.before.records
    after = pipeline.catalog.load_table(pipeline.tables.changes)
    assert data_files(after) < data_files(before)
    assert after.current_snapshot() != before.current_snapshot()
    check(pipeline, lake, "kept")

    deliver(pipeline, lake, last)
    build(on_trino, "user")
    check(pipeline, lake, "after another run")
