"""The DAG under a real scheduler, API server and triggerer: a scheduled run, a trigger with Params, a backfill."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests

from local import services
from local.airflow_home import AirflowHome
from local.lake.catalog import lake_folder
from local.org.handle import OrgHandle, start_org
from local.org.ids import to_18
from tests.e2e.conftest import PROJECT, ask_lake
from tests.kept_database import with_database

pytestmark = pytest.mark.scheduler

DAG_ID = "sf_user_pipeline"
DAY = "2026-01-05"
#: How long a DAG run may take before the test gives up on it, seconds.
PATIENCE = 420


class Airflow:
    """Airflow's REST API, as a person with a login uses it."""

    def __init__(self, home: AirflowHome, port: int) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{port}"
        passwords = json.loads((home.folder / "simple_auth_manager_passwords.json.generated").read_text())
        token = requests.post(
            f"{self.url}/auth/token", json={"username": services.USER, "password": passwords[services.USER]}, timeout=30
        ).json()["access_token"]
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method: str, path: str, expect: int = 200, **body: Any) -> Any:
        """One request; a burst of writes on SQLite may meet a locked database, hence the retries on 500."""
        for _ in range(5):
            answer = self.session.request(method, f"{self.url}/api/v2/{path}", timeout=60, **body)
            if answer.status_code != 500:
                break
            time.sleep(2)
        assert answer.status_code == expect, answer.text
        return answer.json()

    def cli(self, *arguments: str) -> str:
        """Airflow's command line, in the environment of the services."""
        org = OrgHandle(self.home.org)
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env={**os.environ, **self.home.variables(org)},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def runs(self) -> list[dict[str, Any]]:
        """The pipeline's DAG runs."""
        found: list[dict[str, Any]] = self.call("GET", f"dags/{DAG_ID}/dagRuns?limit=50")["dag_runs"]
        return found

    def wait(self, *, run_type: str, count: int) -> list[dict[str, Any]]:
        """The first runs of a type, once there are `count` of them and all there are have succeeded.

        More than that are no surprise: the end of an interval may pass meanwhile, and the scheduler makes its run.
        """
        deadline = time.monotonic() + PATIENCE * count
        while time.monotonic() < deadline:
            runs = [run for run in self.runs() if run["run_type"] == run_type]
            failed = [run for run in runs if run["state"] == "failed"]
            assert not failed, self.explain(failed[0])
            if len(runs) >= count and all(run["state"] == "success" for run in runs):
                return sorted(runs, key=lambda run: str(run["run_after"]))[:count]
            time.sleep(2)
        raise AssertionError(f"{run_type} runs did not end in time: {self.runs()}")

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        """The tasks of a run."""
        found: list[dict[str, Any]] = self.call("GET", f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances?limit=100")[
            "task_instances"
        ]
        return found

    def history_span(self, run: dict[str, Any]) -> tuple[str, str]:
        """When a run's dbt tasks began and ended."""
        tasks = [task for task in self.tasks(run["dag_run_id"]) if task["task_id"].startswith("dbt_scd2.")]
        return min(task["start_date"] for task in tasks), max(task["end_date"] for task in tasks)

    def clear(self, run_id: str, task_id: str) -> None:
        """Clear one task, as a person does in the UI, and wait until it has run again."""
        options = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        path = f"dags/{DAG_ID}/dagRuns/{run_id}"
        before = self.call("GET", f"{path}/taskInstances/{task_id}")["try_number"]
        self.call("POST", f"dags/{DAG_ID}/clearTaskInstances", json=options)
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            task = self.call("GET", f"{path}/taskInstances/{task_id}")
            # Cosmos skips a producer that has nothing left to build.
            if task["try_number"] > before and task["state"] in ("success", "skipped") and self._is_over(path):
                return
            assert task["state"] != "failed", f"{task_id} failed after it was cleared"
            time.sleep(0.5)
        raise AssertionError(f"{task_id} did not run again in time")

    def _is_over(self, path: str) -> bool:
        return bool(self.call("GET", path)["state"] == "success")

    def scheduled_run(self) -> dict[str, Any]:
        """The first scheduled run; the DAG is switched on for it if need be."""
        self.call("PATCH", f"dags/{DAG_ID}", json={"is_paused": False})
        return self.wait(run_type="scheduled", count=1)[0]

    def explain(self, run: dict[str, Any]) -> str:
        """What became of each task of a run."""
        states = [f"{task['task_id']}={task['state']}" for task in self.tasks(run["dag_run_id"])]
        return f"{run['dag_run_id']} failed: {', '.join(states)}"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = AirflowHome(with_database(tmp_path_factory.mktemp("scheduler")))
    scenario = home.root / "three_intervals.jsonl"
    scenario.write_text("\n".join(json.dumps(event) for event in events()) + "\n")
    with start_org(home.org) as org:
        org.load_events(scenario)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert services.up(home, port=port) == 0, (home.logs / "up.log").read_text()[-4000:]
    supervisor = json.loads((home.root / "up.json").read_text())["pid"]
    try:
        yield Airflow(home, port)
    finally:
        services.down(home)
    assert not services.is_alive(supervisor), "down left something running"


def user(number: int) -> str:
    return to_18(f"0055e{number:010d}")


def events() -> Iterator[dict[str, Any]]:
    """Twenty users, created in the first interval; four move in the second, three in the third."""
    for number in range(20):
        yield {
            "at": f"{DAY}T01:00:{number:02d}Z",
            "op": "insert",
            "object": "User",
            "Id": user(number),
            "fields": {"Name": f"User {number}", "Division": "North", "Audit_Phase__c": "Phase1"},
        }
    for number, hour in ((0, 7), (1, 8), (2, 9), (3, 10), (4, 13), (5, 14), (6, 15)):
        yield {
            "at": f"{DAY}T{hour:02d}:00:00Z",
            "op": "update",
            "object": "User",
            "Id": user(number),
            "fields": {"Division": "South"},
        }


def logged_runs(airflow: Airflow, kind: str) -> list[dict[str, str]]:
    return ask_lake(
        airflow.home.root,
        "select run_id, kind, state, full_refresh, window_start, window_end, rows_extracted, observations_logged, "
        "dbt_tests, dbt_tests_failed, dbt_tests_warned, dbt_seconds, ingestion_seconds, run_seconds, quality_score "
        f"from sf_ops.pipeline_runs where kind = '{kind}' order by window_end",
    )


def test_a_scheduled_run_a_trigger_with_params_and_a_backfill(airflow: Airflow) -> None:
    # Catchup is off: switching the DAG on runs the newest interval only, and on an empty lake it reads everything.
    scheduled = airflow.scheduled_run()
    first = logged_runs(airflow, "scheduled")[0]
    assert (first["full_refresh"], first["rows_extracted"], first["observations_logged"]) == ("true", "20", "20")
    assert first["window_end"] == scheduled["data_interval_end"].replace("T", " ").removesuffix("Z")
    # Measured, though one dbt build ran all tests and the tasks only watched it.
    assert (first["dbt_tests_failed"], first["dbt_tests_warned"], first["quality_score"]) == ("0", "0", "100.0")
    assert int(first["dbt_tests"]) > 20
    assert 0 < float(first["ingestion_seconds"]) < float(first["run_seconds"]) < PATIENCE
    assert float(first["dbt_seconds"]) > 0

    # A person triggers with bounds and without a logical date.
    params = {"since": f"{DAY}T06:00:00Z", "until": f"{DAY}T12:00:00Z"}
    airflow.call("POST", f"dags/{DAG_ID}/dagRuns", json={"logical_date": None, "conf": params})
    airflow.wait(run_type="manual", count=1)
    (asked,) = logged_runs(airflow, "manual")
    assert (asked["window_start"], asked["window_end"]) == (f"{DAY} 06:00:00", f"{DAY} 12:00:00")
    assert (asked["full_refresh"], asked["rows_extracted"]) == ("false", "4")

    # Three intervals at once, bounds inclusive on the interval's start; each reads its interval and the lookback hour.
    # Meanwhile an impatient person triggers the same window once more.
    airflow.cli(
        "backfill", "create", "--dag-id", DAG_ID, "--from-date", f"{DAY}T00:00:00Z", "--to-date", f"{DAY}T12:00:00Z",
        "--max-active-runs", "3",
    )  # fmt: skip
    airflow.call("POST", f"dags/{DAG_ID}/dagRuns", json={"logical_date": None, "conf": params})
    airflow.wait(run_type="backfill", count=3)
    airflow.wait(run_type="manual", count=2)
    windows = [
        (run["window_start"], run["window_end"], run["rows_extracted"]) for run in logged_runs(airflow, "backfill")
    ]
    assert windows == [
        ("2026-01-04 23:00:00", f"{DAY} 06:00:00", "13"),
        (f"{DAY} 05:00:00", f"{DAY} 12:00:00", "4"),
        (f"{DAY} 11:00:00", f"{DAY} 18:00:00", "3"),
    ]

    # Their histories were brought up to date one after the other; an interval may have ended meanwhile.
    airflow.wait(run_type="scheduled", count=1)
    spans = sorted(airflow.history_span(run) for run in airflow.runs())
    assert all(ended <= began for (_, ended), (began, _) in pairwise(spans)), spans

    # All of them read the same present, so there is one version a user, and the watermark has not gone back.
    assert ask_lake(
        airflow.home.root,
        "select count(*) as versions, count(distinct user_id) as users, sum(is_current::int) as current "
        "from sf_curated.dim_sf_user_scd",
    ) == [{"versions": "20", "users": "20", "current": "20"}]
    newest = ask_lake(airflow.home.root, "select max(watermark) as watermark from sf_ops.pipeline_runs")
    assert newest == [{"watermark": logged_runs(airflow, "scheduled")[-1]["window_end"]}]


#: Tasks that write something, or decide what is written; views and tests do neither. publish_metrics comes before
#: take_turn: a run that was given its turn again counts again.
CLEARED = (
    "check_source",
    "extract",
    "validate",
    "upsert_raw",
    "publish_metrics",
    "take_turn",
    "dbt_scd2.int_sf_user_changes_run",
    "dbt_scd2.int_sf_user_versions.run",
    "dbt_scd2.dim_sf_user_scd.run",
    "dbt_scd2.sf_user_snapshot_snapshot",
)


def test_clearing_any_single_task_changes_nothing(airflow: Airflow) -> None:
    run = airflow.scheduled_run()
    known = {task["task_id"] for task in airflow.tasks(run["dag_run_id"])}
    for task_id in [*CLEARED, *(task for task in known if task.endswith("dbt_producer_watcher"))]:
        assert task_id in known, sorted(known)
        before, after = rows_around_a_clear(airflow, run["dag_run_id"], task_id)
        assert after == before, task_id


def rows_around_a_clear(airflow: Airflow, run_id: str, task_id: str) -> tuple[dict[str, list[str]], ...]:
    """What is in the lake before a task is cleared, and after; once more if an interval ended and its run wrote too."""
    for _ in range(2):
        airflow.wait(run_type="scheduled", count=1)
        runs, before = len(airflow.runs()), lake_rows(airflow.home)
        airflow.clear(run_id, task_id)
        after = lake_rows(airflow.home)
        if len(airflow.runs()) == runs:
            break
    return before, after


TABLES = (
    "sf_raw.sf_user",
    "sf_raw.sf_user_changes",
    "sf_curated.dim_sf_user_scd",
    "sf_curated.sf_user_snapshot",
    "sf_curated.sf_user_consumed",
    "sf_ops.pipeline_runs",
)


def lake_rows(home: AirflowHome) -> dict[str, list[str]]:
    """Every row of every table, but for the times at which runs were recorded."""
    catalog = lake_folder(home.lake).open_catalog()
    found = {}
    for name in TABLES:
        rows = catalog.load_table(name).scan().to_arrow()
        kept = [column for column in rows.column_names if column != "recorded_at"]
        found[name] = sorted(map(repr, rows.select(kept).to_pylist()))
    return found


def test_a_wrong_param_is_refused_before_anything_runs(airflow: Airflow) -> None:
    answer = airflow.call(
        "POST",
        f"dags/{DAG_ID}/dagRuns",
        expect=400,
        json={"logical_date": None, "conf": {"full_refresh": "perhaps"}},
    )
    assert "full_refresh" in json.dumps(answer)


def test_a_window_in_the_future_fails_at_once_and_says_why(airflow: Airflow) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    run = airflow.call("POST", f"dags/{DAG_ID}/dagRuns", json={"logical_date": None, "conf": {"until": until}})
    deadline = time.monotonic() + PATIENCE
    state = ""
    while state not in ("failed", "success") and time.monotonic() < deadline:
        state = airflow.call("GET", f"dags/{DAG_ID}/dagRuns/{run['dag_run_id']}")["state"]
        time.sleep(2)
    assert state == "failed"
    log = airflow.call("GET", f"dags/{DAG_ID}/dagRuns/{run['dag_run_id']}/taskInstances/check_source/logs/1")
    assert "the future cannot be read" in json.dumps(log)


@pytest.mark.skipif(not Path("/proc").exists(), reason="counts processes through /proc, which only Linux has")
def test_nothing_listens_beyond_loopback(airflow: Airflow) -> None:
    port = int(airflow.url.rsplit(":", 1)[1])
    listening = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            address, state = line.split()[1], line.split()[3]
            host, hexport = address.rsplit(":", 1)
            if state == "0A" and int(hexport, 16) == port:
                listening.append(host)
    assert listening
    assert set(listening) == {"0100007F"}
