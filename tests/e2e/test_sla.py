"""SLAs under a real scheduler and triggerer: what is told of, as it arrives behind a real SNS topic, and what is not.

Three kinds of lateness: a task that never ends (the org is silent), the next run, which is queued behind it and never
starts, and another DAG's task, which is queued and never starts, for there is no slot left.
"""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from local import services
from local.airflow_home import AirflowHome
from local.org.faults import QUERY, Answer, Fault, Hang
from local.org.handle import OrgHandle, start_org
from tests.e2e.conftest import PROJECT
from tests.e2e.test_scheduler import Airflow, events
from tests.kept_database import with_database
from tests.waiting import wait_for

pytestmark = pytest.mark.scheduler

KINDS = ("sla_missed", "sla_still_missed")
USER, ACCOUNT = "sf_user_pipeline", "sf_account_pipeline"
SLAS = {
    "user": {"run": None, "extract": "25s", "escalate_after": "10s"},
    "account": {"run": None, "extract": "60s", "each_model": "60s", "escalate_after": "1h"},
}
#: No interval ends while the test runs (but for New Year's night): switching a DAG on makes one run.
SCHEDULE = "0 0 1 1 *"
FOLDERS = ("dags", "plugins", "include", "dbt", "local")


class Cloud:
    """A topic, and a queue that is subscribed to it."""

    def __init__(self, url: str) -> None:
        access = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }
        self.sqs, sns = boto3.client("sqs", **access), boto3.client("sns", **access)
        self.queue = self.sqs.create_queue(QueueName="on-call")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.topic: str = sns.create_topic(Name="sf-user-pipeline-alerts")["TopicArn"]
        sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=arn)
        self.got: list[dict[str, Any]] = []

    def messages(self) -> list[dict[str, Any]]:
        """Everything that has arrived so far."""
        while new := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in new:
                self.got.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return self.got


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield Cloud(f"http://127.0.0.1:{port}")
    server.stop()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, cloud: Cloud) -> Iterator[Airflow]:
    root = tmp_path_factory.mktemp("sla")
    project = root / "project"
    for folder in FOLDERS:
        shutil.copytree(PROJECT / folder, project / folder, ignore=shutil.ignore_patterns("__pycache__", "logs"))
    shutil.copy(PROJECT / "airflow_settings.yaml", project)
    for noun, slas in SLAS.items():
        file = project / "include" / "objects" / f"{noun}.yml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "slas": slas, "schedule": SCHEDULE}))
    home = AirflowHome(with_database(root / "laptop"), project=project)
    with start_org(home.org) as org:
        scenario = root / "scenario.jsonl"
        scenario.write_text("\n".join(json.dumps(event) for event in events()) + "\n")
        org.load_events(scenario)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SF_HISTORY_SNS_TOPIC_ARN", cloud.topic)
        assert services.up(home, port=port) == 0, (home.logs / "up.log").read_text()[-4000:]
    try:
        found = Airflow(home, port)
        # In Airflow's own database, where people keep connections, and not in an environment variable: a callback
        # must be able to read it from within the triggerer.
        extra = json.dumps({"endpoint_url": cloud.sqs.meta.endpoint_url, "region_name": "us-east-1"})
        connection = {"connection_id": "aws_default", "conn_type": "aws", "login": "test", "password": "test"}
        found.call("POST", "connections", expect=201, json={**connection, "extra": extra})
        yield found
    finally:
        services.down(home)


def set_pools(airflow: Airflow, *, slots: int) -> None:
    for pool in airflow.call("GET", "pools")["pools"]:
        change = {"pool": pool["name"], "slots": slots, "include_deferred": False}
        airflow.call("PATCH", f"pools/{pool['name']}?update_mask=slots", json=change)


def runs(airflow: Airflow, dag_id: str) -> list[str]:
    return [run["dag_run_id"] for run in airflow.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]]


def tasks(airflow: Airflow, dag_id: str, run_id: str) -> dict[str, str | None]:
    found = airflow.call("GET", f"dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
    return {task["task_id"]: task["state"] for task in found}


def trigger(airflow: Airflow, dag_id: str, **conf: Any) -> str:
    answer = airflow.call("POST", f"dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf})
    return str(answer["dag_run_id"])


def ask_airflow(airflow: Airflow, query: str) -> list[tuple[Any, ...]]:
    """Airflow's database: no API shows what became of a deadline's callback."""
    database = airflow.home.folder / "airflow.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def callbacks(airflow: Airflow, dag_id: str, run_id: str) -> list[str]:
    """What the callbacks of a run's deadlines have answered so far, in the order of the deadlines."""
    return [
        output
        for state, output in ask_airflow(
            airflow,
            "select c.state, c.output from deadline d join callback c on c.id = d.callback_id "
            "join dag_run r on r.id = d.dagrun_id "
            f"where r.dag_id = '{dag_id}' and r.run_id = '{run_id}' order by d.deadline_time",
        )
        if state in ("success", "failed")
    ]


def state(airflow: Airflow, dag_id: str, run_id: str) -> str:
    return str(airflow.call("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"])


def ended_by(airflow: Airflow, dag_id: str, run_id: str, task_id: str, seconds: int) -> bool:
    """Whether a task was done so soon after its run was queued. A busy machine may be too slow for it."""
    path = f"dags/{dag_id}/dagRuns/{run_id}"
    queued, ended = (
        datetime.fromisoformat(moment)
        for moment in (
            airflow.call("GET", path)["queued_at"],
            airflow.call("GET", f"{path}/taskInstances/{task_id}")["end_date"],
        )
    )
    return ended <= queued + timedelta(seconds=seconds)


def test_what_is_late_is_told_once_and_then_once_more(airflow: Airflow, cloud: Cloud) -> None:
    org = OrgHandle(airflow.home.org)
    org.set_faults([Fault(do=Answer(status=404, code="NOT_FOUND", message="no such thing"), path="*/User/describe")])
    for dag_id in (ACCOUNT, USER):
        airflow.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})
    (reading,), (failed,) = (
        wait_for(lambda dag_id=dag_id: runs(airflow, dag_id), f"a run of {dag_id}") for dag_id in (ACCOUNT, USER)
    )
    wait_for(lambda: state(airflow, USER, failed) == "failed", "the failure of a run")
    wait_for(lambda: tasks(airflow, ACCOUNT, reading)["validate"] == "success", "the end of validate")

    # One run hangs in extract, the next one cannot start, and the other DAG's tasks get no slot any more.
    org.set_faults([Fault(do=Hang(seconds=600), path=QUERY, contains="from user", lacks="count()", times=None)])
    hanging = trigger(airflow, USER)
    waiting = trigger(airflow, USER)
    wait_for(lambda: org.faults_struck()[0], "a query that hangs")
    set_pools(airflow, slots=0)

    looked = [(USER, hanging, 2), (USER, waiting, 2), (USER, failed, 2), (ACCOUNT, reading, 1)]
    wait_for(
        lambda: all(len(callbacks(airflow, dag_id, run)) >= count for dag_id, run, count in looked),
        "the callbacks of all deadlines",
        log=airflow.home.logs / "up.log",
        told=lambda: [(run, count, callbacks(airflow, dag_id, run)) for dag_id, run, count in looked],
    )
    told = {run: callbacks(airflow, dag_id, run) for dag_id, run, _ in looked if run != failed}
    assert all(answer.startswith("told: ") for answers in told.values() for answer in answers), told

    found = [message for message in cloud.messages() if message["MessageAttributes"]["kind"]["Value"] in KINDS]
    by_run: dict[str, list[dict[str, Any]]] = {}
    for message in found:
        print(message["Subject"], message["Message"], sep="\n", end="\n\n")
        by_run.setdefault(message["Message"].split("\nRun: ")[1].split("\n")[0].rpartition("/dags/")[2], []).append(
            message
        )

    def messages(dag_id: str, run_id: str) -> dict[str, str]:
        these = by_run.pop(f"{dag_id}/runs/{quote(run_id, safe='')}", [])
        kinds = {message["MessageAttributes"]["kind"]["Value"]: message["Message"] for message in these}
        assert len(kinds) == len(these), "told twice"
        return kinds

    for run, where in ((hanging, "The run is at "), (waiting, "The run has not started.")):
        these = messages(USER, run)
        assert sorted(these) == sorted(KINDS)
        for text in these.values():
            assert where in text
            assert "\nTasks: extract: " in text
            assert "validate (not started)" in text
    # What was read in time is not named, although its deadline is that of the models.
    text = messages(ACCOUNT, reading)["sla_missed"]
    assert "dim_sf_account_scd: dbt_scd2.dim_sf_account_scd.run (" in text
    if ended_by(airflow, ACCOUNT, reading, "validate", 60):
        assert "extract: " not in text
    # Nor is a run that had failed by then: that is another alert's business.
    if ended_by(airflow, USER, failed, "publish_metrics", 25):
        assert callbacks(airflow, USER, failed) == ["silent: extract"] * 2
        assert not messages(USER, failed)
        assert not by_run
