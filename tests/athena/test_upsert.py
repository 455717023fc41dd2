"""One upsert after another through Airflow's Athena hook, on a lake like the one of the tests on Trino."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.config.environment import current_environment
from include.config.object_file import read_object_files
from include.lake.sql_engine import EngineFailed
from local.cloud.aws import Aws
from salesforce_history.sql_engines import Athena
from tests.engines.engine_lake import EngineLake

pytest.importorskip("tests.athena.endpoint")

pytestmark = pytest.mark.athena


@pytest.fixture
def lake(aws: Aws, athena: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineLake]:
    """A lake whose upserts Athena does."""
    for name, value in {**aws.variables(), **athena.variables()}.items():
        monkeypatch.setenv(name, value)
    environment = current_environment(
        {"SF_HISTORY_ENV": "development", "SF_HISTORY_QUERY_RESULTS_URI": "s3://athena-results/upserts"}
    )
    # Another connection would need Airflow's database: without one, credentials are those of the surroundings.
    environment = environment.model_copy(update={"aws_conn_id": ""})
    return EngineLake(aws, Athena(environment, poll_seconds=1), read_object_files()["user"], tmp_path)


def test_loads_changes_absence_and_a_late_batch(lake: EngineLake) -> None:
    first = lake.run([lake.record("a", 1, division="it's"), lake.record("b", 1), lake.record("c", 1)], end=6)
    assert (first.logged, first.inserted, first.mirror_rows) == (3, 3, 3)
    again = lake.staged([lake.record("a", 7, division="South"), lake.record("b", 1)], start=0, end=12)
    changed = lake.upsert(again)
    assert (changed.logged, changed.updated, changed.unchanged) == (1, 1, 1)
    assert lake.upsert(again).logged == 0
    gone = lake.run([lake.record("a", 7, division="South")], present=["b"], end=18)
    assert (gone.deleted, gone.updated) == (1, 1)
    late = lake.run([lake.record("b", 8, division="late")], start=5, end=11)
    assert (late.logged, late.updated) == (1, 1)
    mirror = {key: (row["division"], row["isdeleted"]) for key, row in lake.mirror().items()}
    assert mirror == {"a": ("South", False), "b": ("late", False), "c": (None, True)}
    assert len(lake.rows("changes")) == 6
    assert {table for _, table in lake.catalog.list_tables(lake.environment.raw_namespace)} == {
        "sf_user",
        "sf_user_changes",
    }


def test_what_athena_refuses_is_told_with_its_reason(lake: EngineLake) -> None:
    with pytest.raises(EngineFailed, match=r"a try: athena did not finish query [0-9a-f-]{36}: .*no_such"):
        lake.engine.execute("SELECT no_such FROM (SELECT 1 AS one)", namespace="default", about="a try")
