"""An Airflow with everything that a scheduled run needs: scheduler, API server, DAG processor, triggerer and org."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import requests

from bench import task_clock
from local import services
from local.airflow_home import PROJECT, AirflowHome
from local.org.handle import OrgHandle, start_org

DAG_ID = "sf_user_pipeline"
_PATIENCE = 600.0
_ROLES = ("api-server", "scheduler", "dag-processor", "triggerer")
_SETTINGS = "BENCH_SETTINGS"


class BenchHome(AirflowHome):
    """A laptop's Airflow whose tasks note their times.

    :param root: where everything lives.
    :param settings: environment variables that go before the project's own.
    """

    def __init__(self, root: Path, settings: Mapping[str, str]) -> None:
        super().__init__(root)
        self.settings = dict(settings)
        self.task_times = self.root / "task_times.jsonl"

    def variables(self, org: OrgHandle, *, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """As the project's, but for the plugin and the settings of the benchmark."""
        plugins = self.root / "plugins"
        plugins.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(task_clock.__file__, plugins / "bench_task_clock.py")
        return {
            **super().variables(org, extra=extra),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
            "BENCH_TASK_CLOCK": str(self.task_times),
            **self.settings,
        }


class Airflow:
    """Its REST API, and what its processes have used.

    :param home: of the services.
    :param port: of the API server.
    """

    def __init__(self, home: BenchHome, port: int) -> None:
        self.home, self.url = home, f"http://127.0.0.1:{port}"
        login = json.loads((home.folder / "simple_auth_manager_passwords.json.generated").read_text(encoding="utf-8"))
        answer = requests.post(
            f"{self.url}/auth/token", json={"username": services.USER, "password": login[services.USER]}, timeout=30
        )
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        self.supervisor = psutil.Process(json.loads((home.root / "up.json").read_text(encoding="utf-8"))["pid"])

    def call(self, method: str, path: str, **body: Any) -> Any:
        """One request; SQLite may be locked for a moment, which is a 500."""
        for _ in range(5):
            answer = self.session.request(method, f"{self.url}/api/v2/{path}", timeout=60, **body)
            if answer.status_code != 500:
                break
            time.sleep(1)
        answer.raise_for_status()
        return answer.json()

    def run_once(self) -> dict[str, Any]:
        """Trigger the pipeline without Params, as its schedule would, and wait until the run has succeeded."""
        made = self.call("POST", f"dags/{DAG_ID}/dagRuns", json={"logical_date": None})
        return self.wait(made["dag_run_id"])

    def wait(self, run_id: str) -> dict[str, Any]:
        """Wait until a run has succeeded.

        :param run_id: the run.
        :raises RuntimeError: if it has failed, or takes too long.
        """
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            run: dict[str, Any] = self.call("GET", f"dags/{DAG_ID}/dagRuns/{run_id}")
            if run["state"] == "success":
                return run
            if run["state"] == "failed":
                break
            time.sleep(0.5)
        raise RuntimeError(f"run {run_id} did not succeed: {self.call('GET', f'dags/{DAG_ID}/dagRuns/{run_id}')}")

    def first_run(self) -> dict[str, Any]:
        """Switch the pipeline on, which runs its last interval: on an empty lake it reads everything."""
        self.call("PATCH", f"dags/{DAG_ID}", json={"is_paused": False})
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if runs := self.call("GET", f"dags/{DAG_ID}/dagRuns")["dag_runs"]:
                return self.wait(runs[0]["dag_run_id"])
            time.sleep(0.5)
        raise RuntimeError("no run was scheduled")

    def xcoms(self, run_id: str, key: str) -> dict[str, Any]:
        """What the tasks of a run have left under a key: task → value."""
        path = f"dags/{DAG_ID}/dagRuns/{run_id}"
        listed = self.call("GET", f"{path}/taskInstances/~/xcomEntries?xcom_key={key}&limit=100")["xcom_entries"]
        return {
            one["task_id"]: self.call("GET", f"{path}/taskInstances/{one['task_id']}/xcomEntries/{key}")["value"]
            for one in listed
        }

    def used(self) -> dict[str, float]:
        """Seconds of CPU so far: by component, tasks on their own. The simulated org is not among them."""
        found = dict.fromkeys((*_ROLES, "tasks"), 0.0)
        for process in self.supervisor.children():
            # The API server calls itself api_server.
            command = " ".join(process.cmdline()).replace("api_server", "api-server")
            role = next((role for role in _ROLES if f" {role}" in command), None)
            if role is None:
                continue
            times = process.cpu_times()
            found[role] += times.user + times.system
            if role != "scheduler":
                found[role] += times.children_user + times.children_system
            for child in process.children(recursive=True):
                try:
                    more = child.cpu_times()
                except psutil.Error:
                    continue
                into = "tasks" if role == "scheduler" else role
                found[into] += more.user + more.system + more.children_user + more.children_system
        return found


@contextmanager
def airflow(root: Path, *, events: Path, settings: Mapping[str, str]) -> Iterator[Airflow]:
    """Have it run until the block ends.

    :param root: an empty folder.
    :param events: what has happened in the org before.
    :param settings: environment variables of the services.
    """
    home = BenchHome(root, settings)
    with start_org(home.org) as org:
        org.load_events(events)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ[_SETTINGS] = json.dumps(dict(settings))
    supervise = [sys.executable, "-m", "bench.pipeline_airflow", str(root), str(port)]
    if services.up(home, port=port, within=_PATIENCE, supervise_with=supervise):
        raise RuntimeError((home.logs / "up.log").read_text(encoding="utf-8", errors="replace")[-4000:])
    try:
        yield Airflow(home, port)
    finally:
        services.down(home)


def now() -> str:
    """The time, as an event of the org tells it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    os.chdir(PROJECT)
    sys.exit(
        services.supervise(
            BenchHome(Path(sys.argv[1]), json.loads(os.environ[_SETTINGS])),
            port=int(sys.argv[2]),
        )
    )
