"""The whole DAG in `development`: Salesforce → S3 → Glue → dbt on Athena → CloudWatch and SNS; then the upkeep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from local.cloud.aws import Aws
from local.org.ids import to_18
from tests.athena.dag_runs import DIMENSION
from tests.athena.endpoint import Athena
from tests.athena.lake import catalog_of
from tests.athena.moto import client
from tests.oracle.compare import differences, report
from tests.oracle.history_model import dimension
from tests.oracle.org_model import read_scenario
from tests.oracle.replay import replay
from tests.oracle.shapes import USER
from tests.parsed_project import PROJECT

pytestmark = pytest.mark.athena

ANN, BOB, CYD, DEE = (to_18(f"0055e000000000{number}") for number in range(1, 5))
NORTH = {"Division": "North", "Audit_Phase__c": "Phase1"}


def event(at: str, op: str, record: str | None = None, **fields: str) -> dict[str, Any]:
    named = {"Id": record} if record else {}
    return {"at": f"2026-01-05T{at}:00Z", "op": op, "object": "User", **named, **({"fields": fields} if fields else {})}


#: A first load, a window with changes, a full refresh that finds a deletion; the last one's audit fails.
SCENARIO = [
    *(event("01:00", "insert", one, Name=name, **NORTH) for one, name in ((ANN, "Ann"), (BOB, "Bob"), (CYD, "Cyd"))),
    event("07:00", "update", ANN, Division="South"),
    event("08:00", "insert", DEE, Name="Dee", **NORTH),
    event("13:00", "update", DEE, Audit_Phase__c="Phase2"),
    event("13:30", "purge", BOB),
    event("14:00", "refresh"),
]


class Ran:
    """What the DAG runs have left."""

    def __init__(self, told: dict[str, Any], aws: Aws, shown: str) -> None:
        self.told, self.aws, self.shown = told, aws, shown
        self.catalog = catalog_of(aws)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of a table."""
        return self.catalog.load_table(table).scan().to_arrow().to_pylist()


@pytest.fixture(scope="module")
def ran(athena: Athena, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("development")
    scenario = folder / "scenario.jsonl"
    scenario.write_text("".join(json.dumps(one) + "\n" for one in SCENARIO), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.athena.dag_runs",
            str(folder),
            athena.aws.endpoint,
            athena.endpoint,
            str(scenario),
        ],
        cwd=PROJECT,
        env={name: value for name, value in os.environ.items() if not name.startswith("SF_HISTORY_")},
        capture_output=True,
        text=True,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert done.returncode == 0, shown[-6000:]
    return Ran(json.loads(done.stdout.splitlines()[-1]), athena.aws, shown)


def test_every_run_ends_well_and_a_failed_audit_is_made_good(ran: Ran) -> None:
    states = [run["state"] for run in ran.told["runs"]]
    assert states == ["success"] * 3, ran.told
    *calm, last = [run["tasks"] for run in ran.told["runs"]]
    assert {state for tasks in calm for state in tasks.values()} == {"success", "skipped"}
    assert [task for task, state in last.items() if state == "failed"] == ["dbt_scd2.dim_sf_user_scd.test"]
    assert last["rebuild_history"] == "success"


def test_the_dimension_is_the_oracles(ran: Ran) -> None:
    expected = dimension(replay(USER, read_scenario([json.dumps(one) for one in SCENARIO])).log)
    found = differences(USER, ran.rows(DIMENSION), expected)
    assert not found, report(found)
    assert [row["user_id"] for row in ran.rows(DIMENSION) if row["is_deleted"]] == [BOB]


def test_runs_are_on_record_and_measured(ran: Ran) -> None:
    runs = sorted(ran.rows("sf_ops_development.pipeline_runs"), key=lambda row: row["recorded_at"])
    assert [(row["state"], row["history_rebuilt"]) for row in runs] == [
        ("success", False),
        ("success", False),
        ("success", True),
    ]
    metrics = client(ran.aws, "cloudwatch").list_metrics(Namespace="SalesforceIcebergPipeline")["Metrics"]
    assert len(metrics) > 5
    assert any("/salesforce/" in one["Key"] for one in _staged(ran.aws))


def test_alerts_go_by_sns(ran: Ran) -> None:
    """Three users are not 4,000 to 6,000, and that is told once. A failure that a rebuild has made good is none."""
    assert ran.told["alerts"] == ["[development] User: 3 records: out of range"]
    (alert,) = ran.rows("sf_ops_development.alerts")
    assert (alert["kind"], alert["channels"], alert["failed_channels"]) == ("anomaly", "sns", None)


def test_upkeep_is_done_by_athena(ran: Ran) -> None:
    tasks = ran.told["upkeep"]["tasks"]
    assert ran.told["upkeep"]["state"] == "success", tasks
    table = ran.catalog.load_table(DIMENSION)
    assert int(table.properties["vacuum_max_snapshot_age_seconds"]) >= 24 * 60 * 60
    asked = client(ran.aws, "s3").list_objects_v2(Bucket="lumata-lakehouse-development-athena-results")
    assert asked["KeyCount"] > 0
    kept = ran.rows("sf_ops_development.upkeep")
    assert {row["engine"] for row in kept} == {"athena"}
    assert datetime.now(UTC) > max(row["started_at"] for row in kept)


def _staged(aws: Aws) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (
        client(aws, "s3").list_objects_v2(Bucket="lumata-lakehouse-development-staging").get("Contents", [])
    )
    return [{**one, "Key": f"/{one['Key']}"} for one in found]
