"""Under a real scheduler and triggerer: a message on SQS starts a pipeline, and its asset events start a consumer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import requests
from moto.server import ThreadedMotoServer

from local import services
from local.airflow_home import AirflowHome
from local.org.handle import OrgHandle, start_org
from tests.e2e.conftest import PROJECT
from tests.kept_database import with_database
from tests.waiting import wait_for

pytestmark = pytest.mark.scheduler

#: The pipeline up to the lake in one task, with the schedule and the assets of the real one.
PIPELINE = """
from datetime import UTC, datetime
from airflow.sdk import DAG
from include.config.environment import current_environment
from include.config.object_file import read_object_files
from salesforce_history.assets import ObjectAssets, announce_upsert
from salesforce_history.connections import salesforce_client
from salesforce_history.operators import ObjectOperator, run_request
from salesforce_history.params import pipeline_params
from salesforce_history.schedule import pipeline_schedule

class Load(ObjectOperator):
    def work(self, context):
        flow = self.flow()
        client = salesforce_client(flow.environment)
        plan = flow.check_source(client, run_request(context), run_id=context["run_id"])
        announce_upsert(context, flow, flow.upsert(flow.validate(flow.extract(client, plan))), None)
        return plan.window.model_dump(mode="json")

user, environment = read_object_files()["user"], current_environment()
assets = ObjectAssets.of(user, environment)
with DAG(
    "pipeline", schedule=pipeline_schedule(user, environment), start_date=datetime(2020, 1, 1, tzinfo=UTC),
    catchup=False, max_active_runs=1, params=pipeline_params(),
):
    Load(
        task_id="load", object_file=user, pool=environment.salesforce_pool,
        inlets=[assets.mirror, assets.changes, assets.quarantine], outlets=[assets.alias],
    )
"""

#: What a colleague writes, who knows a table's name and nothing else.
CONSUMER = """
from airflow.sdk import Asset, dag, task

@dag(schedule=[Asset("sf_raw.sf_user_changes")])
def consumer():
    @task
    def read(triggering_asset_events=None):
        return {asset.name: [event.extra for event in events] for asset, events in triggering_asset_events.items()}
    read()

consumer()
"""


class Airflow:
    """A scheduler with its triggerer, and its REST API."""

    def __init__(self, home: AirflowHome, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.passwords = home.folder / "simple_auth_manager_passwords.json.generated"
        self.session = requests.Session()

    def log_in(self) -> bool:
        """Whether Airflow answers, and knows both DAGs."""
        with suppress(requests.RequestException, OSError, ValueError, KeyError):
            login = {"username": services.USER, "password": json.loads(self.passwords.read_text())[services.USER]}
            answer = requests.post(f"{self.url}/auth/token", json=login, timeout=10)
            self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
            return {dag["dag_id"] for dag in self.call("GET", "dags")["dags"]} == {"pipeline", "consumer"}
        return False

    def call(self, method: str, path: str, **body: Any) -> Any:
        """One request."""
        answer = self.session.request(method, f"{self.url}/api/v2/{path}", timeout=60, **body)
        answer.raise_for_status()
        return answer.json()

    def unpause(self, dag_id: str) -> None:
        """Switch a DAG on."""
        self.call("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def runs(self, dag_id: str, run_type: str) -> list[dict[str, Any]]:
        """Runs of a DAG that have succeeded, and those that go on; none may fail."""
        runs = [run for run in self.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"] if run["run_type"] == run_type]
        failed = [run["dag_run_id"] for run in runs if run["state"] == "failed"]
        assert not failed, f"{failed} failed"
        return runs

    def succeeded(self, dag_id: str, run_type: str) -> list[dict[str, Any]]:
        """Runs of a DAG that have succeeded, once there is one."""
        return wait_for(
            lambda: [run for run in self.runs(dag_id, run_type) if run["state"] == "success"], f"a run of {dag_id}"
        )

    def returned(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task has returned."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value?deserialize=true"
        return self.call("GET", path)["value"]


@pytest.fixture
def org(tmp_path: Path) -> Iterator[OrgHandle]:
    """An org with three users."""
    scenario = tmp_path / "users.jsonl"
    scenario.write_text(
        "".join(
            json.dumps(
                {"at": "2026-01-05T01:00:00Z", "op": "insert", "object": "User", "Id": f"005{number:012d}"}
                | {"fields": {"Name": f"User {number}", "Division": "North"}}
            )
            + "\n"
            for number in range(3)
        )
    )
    with start_org(tmp_path / "org") as org:
        org.load_events(scenario)
        org.set_clock(datetime.now(UTC).replace(microsecond=0))
        yield org


@pytest.fixture
def queue() -> Iterator[tuple[Any, str, dict[str, str]]]:
    """SQS: a client, a queue's URL, and the settings that lead to it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL_SQS": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "sqs",
        endpoint_url=settings["AWS_ENDPOINT_URL_SQS"],
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    yield client, client.create_queue(QueueName="sf-changes")["QueueUrl"], settings
    server.stop()


@pytest.fixture
def airflow(tmp_path: Path, org: OrgHandle, queue: tuple[Any, str, dict[str, str]]) -> Iterator[Airflow]:
    home = AirflowHome(with_database(tmp_path))
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "pipeline.py").write_text(PIPELINE)
    (dags / "consumer.py").write_text(CONSUMER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = home.variables(
        org,
        extra={"AIRFLOW__CORE__DAGS_FOLDER": str(dags), "SF_HISTORY_CHANGE_QUEUE_URL": queue[1], **queue[2]},
    )
    home.prepare(variables, fresh=True)
    path = tmp_path / "airflow.log"
    with path.open("w") as log:
        parts = services.start_airflow(variables, port=port, cwd=PROJECT, output=log)
        children = [psutil.Process(part.pid) for part in parts]
        try:
            started = Airflow(home, port)
            wait_for(
                started.log_in,
                "Airflow, and its DAGs",
                alive=lambda: all(part.poll() is None for part in parts),
                log=path,
            )
            yield started
        finally:
            # Airflow's own children do not always follow it.
            family = [process for child in children for process in (child, *descendants(child))]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
            for process in psutil.wait_procs(family, timeout=15)[1]:
                process.kill()


def descendants(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return process.children(recursive=True)
    return []


def test_messages_start_one_run_whose_events_start_a_consumer(
    airflow: Airflow, org: OrgHandle, queue: tuple[Any, str, dict[str, str]]
) -> None:
    sqs, url, _ = queue
    airflow.unpause("consumer")
    airflow.unpause("pipeline")

    # The clock is heeded as without a queue: the newest interval is run, with its six hours.
    (scheduled,) = wait_for(lambda: airflow.runs("pipeline", "scheduled"), "the scheduled run")
    interval = [datetime.fromisoformat(scheduled[f"data_interval_{end}"]) for end in ("start", "end")]
    assert (interval[1] - interval[0]).total_seconds() == 6 * 3600

    # A backfill goes by the clock too.
    bounds = {"from_date": "2026-01-05T00:00:00Z", "to_date": "2026-01-05T12:00:00Z"}
    would_run = airflow.call("POST", "backfills/dry_run", json={"dag_id": "pipeline", **bounds})["backfills"]
    assert [run["logical_date"] for run in would_run] == [f"2026-01-05T{hour}:00:00Z" for hour in ("00", "06", "12")]

    # A burst while it goes on: the queue is emptied, and one run comes of it all.
    for number in range(25):
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"detail": {"number": number}}))
    (first,) = airflow.succeeded("pipeline", "asset_triggered")
    assert (first["data_interval_start"], first["logical_date"]) == (None, None)
    window = airflow.returned("pipeline", first["dag_run_id"], "load")
    assert window["kind"] == "manual"
    assert datetime.fromisoformat(window["start"]) < interval[1] < datetime.fromisoformat(window["end"])

    def left() -> int:
        attributes = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=attributes)["Attributes"]
        return sum(int(found[name]) for name in attributes)

    assert wait_for(lambda: left() == 0, "an empty queue")
    assert len(airflow.runs("pipeline", "asset_triggered")) == 1

    # The first run has logged three users, the second nothing: the consumer ran once, and was told of the three.
    (told,) = airflow.succeeded("consumer", "asset_triggered")
    (event,) = airflow.returned("consumer", told["dag_run_id"], "read")["sf_raw.sf_user_changes"]
    assert (event["rows_logged"], event["mirror_rows"], event["run_id"]) == (3, 3, scheduled["dag_run_id"])
    assert len(airflow.runs("consumer", "asset_triggered")) == 1
