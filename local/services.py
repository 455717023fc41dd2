"""`make up` and `make down`: Airflow's UI, scheduler and triggerer over the simulated org, in the background."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import psutil
import requests

from include.config.object_file import ObjectFileError, read_object_files
from local.airflow_database import connect_args
from local.airflow_home import PROJECT, AirflowHome
from local.dbt_docs import put_docs
from local.exclusive import LakeInUse, is_free, only_one
from local.lake.catalog import LAKE_VARIABLE, lake_folder
from local.org.handle import OrgHandle, start_org
from local.org.scenario import load_scenario
from local.story import write as write_story

USER = "admin"
_CLOCK_STEP = 5.0
_STOP_WITHIN = 30.0


def up(home: AirflowHome, *, port: int, within: float = 180.0, supervise_with: Sequence[str] = ()) -> int:
    """Start the services in the background and wait until Airflow answers.

    :param port: port of Airflow's UI on loopback.
    :param within: seconds to wait.
    :param supervise_with: command that calls `supervise`; default: this module's own.
    :return: 0; 1 where they did not start; 2 where something else uses the lake or the port.
    """
    running = _state(home)
    if running:
        print(_welcome(home, running["port"]))
        return 0
    if not _is_free(port):
        print(f"port {port} is taken; give another one: make up PORT={port + 1}", file=sys.stderr)
        return 2
    home.logs.mkdir(parents=True, exist_ok=True)
    log = home.logs / "up.log"
    with log.open("w") as sink:
        own = [sys.executable, "-m", "local.services", "supervise", "--root", str(home.root), "--port", str(port)]
        supervisor = subprocess.Popen(
            list(supervise_with) or own,
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=home.project,
        )
    print("starting Airflow and the simulated org …", flush=True)
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if supervisor.poll() is not None:
            print(f"it did not start; the end of {log.name}:\n{_tail(log)}", file=sys.stderr)
            return supervisor.returncode or 1
        if _is_healthy(port) and _shows_dags(home, port):
            print(_welcome(home, port))
            return 0
        time.sleep(1)
    print(f"Airflow has not answered within {within:.0f} s; the end of {log.name}:\n{_tail(log)}", file=sys.stderr)
    down(home)
    return 1


def down(home: AirflowHome) -> int:
    """Stop what `up` started; says so where nothing runs.

    :return: 0.
    """
    running = _state(home)
    if not running:
        print("nothing is running")
        return 0
    group = running["pid"]
    print(f"stopping; tasks that run have {_STOP_WITHIN:.0f} s to end …", flush=True)
    for number, patience in ((signal.SIGTERM, _STOP_WITHIN), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        deadline = time.monotonic() + patience
        while is_alive(group) and time.monotonic() < deadline:
            time.sleep(0.2)
        if not is_alive(group):
            break
    _state_file(home).unlink(missing_ok=True)
    print("stopped")
    return 0


def supervise(home: AirflowHome, *, port: int) -> int:
    """Run org and Airflow until told to stop. This is the process that owns the lake.

    :param port: port of Airflow's UI.
    """
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    with only_one(home.root, purpose="make up"), start_org(home=home.org) as org:
        if not any(counts["events"] for counts in org.stats()["objects"].values()):
            org.load_events(load_scenario(write_story(home.root / "default_scenario.jsonl")))
        execution = os.environ.get("SF_HISTORY_DBT_EXECUTION", "watcher")
        variables = home.variables(org, extra={"SF_HISTORY_DBT_EXECUTION": execution})
        home.prepare(variables, fresh=False)
        put_docs(home.project / "dbt" / "target")
        parts = start_airflow(variables, port=port, cwd=home.project)
        _state_file(home).write_text(json.dumps({"pid": os.getpid(), "port": port}), encoding="utf-8")
        try:
            while not stopping and all(part.poll() is None for part in parts):
                _follow_the_wall_clock(org)
                time.sleep(_CLOCK_STEP if not stopping else 0)
        finally:
            # Airflow's own children do not always follow it; all of them are in this process's group.
            os.killpg(os.getpgid(0), signal.SIGTERM)
            for part in parts:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    part.wait(timeout=_STOP_WITHIN / 2)
            _state_file(home).unlink(missing_ok=True)
    return 0 if stopping else 1


def start_airflow(
    variables: Mapping[str, str], *, port: int, cwd: Path, output: IO[str] | None = None
) -> list[subprocess.Popen[bytes]]:
    """Start Airflow's processes. Not `airflow standalone`: its log servers would listen on every interface.

    What each of them would make if it lacked is made before, by one: Airflow's configuration file, which holds the keys
    that connections are encrypted with and tokens are signed with, and the tables of the lake's catalog.

    :param variables: from `AirflowHome.variables()`; the home is prepared.
    :param port: of Airflow's UI and API on loopback.
    :param cwd: their working directory.
    :param output: where they write; default: where this process does.
    :return: the processes, in this process's group; whoever starts them ends them.
    """
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        **variables,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    if not (Path(variables["AIRFLOW_HOME"]) / "airflow.cfg").exists():
        _write_configuration(environment, cwd)
    lake_folder(variables[LAKE_VARIABLE]).open_catalog().engine.dispose()
    parts = [
        ["airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)],
        ["local.preloaded", "scheduler", "--skip-serve-logs"],
        ["local.preloaded", "dag-processor"],
        ["airflow", "triggerer", "--skip-serve-logs"],
    ]
    return [
        subprocess.Popen(
            [sys.executable, "-m", *part],
            env={**environment, **connect_args(server="api-server" in part)},
            cwd=cwd,
            stdout=output,
            stderr=output,
        )
        for part in parts
    ]


def _write_configuration(environment: Mapping[str, str], cwd: Path) -> None:
    command = [sys.executable, "-m", "airflow", "config", "get-value", "core", "executor"]
    subprocess.run(command, env=dict(environment), cwd=cwd, check=True, stdout=subprocess.DEVNULL)


def _follow_the_wall_clock(org: OrgHandle) -> None:
    """Runs that people trigger end now; the org's clock has to agree."""
    org.set_clock(datetime.now(UTC).replace(microsecond=0))


def _welcome(home: AirflowHome, port: int) -> str:
    passwords = _passwords(home)
    password = json.loads(passwords.read_text(encoding="utf-8"))[USER] if passwords.exists() else "(see up.log)"
    return (
        f"Airflow     http://127.0.0.1:{port}\n"
        f"login       {USER} / {password}\n"
        f"DAGs        sf_user_pipeline, sf_account_pipeline (switch one on, or trigger it with the form);\n"
        f"            lakehouse_maintenance (weekly upkeep), sf_history_watch (tells of what nobody has resolved)\n"
        f"stop        make down"
    )


def _state_file(home: AirflowHome) -> Path:
    return home.root / "up.json"


def _state(home: AirflowHome) -> dict[str, int] | None:
    if is_free(home.root):
        return None
    try:
        state: dict[str, int] = json.loads(_state_file(home).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state


def is_alive(group: int) -> bool:
    """Whether any process is left of what was started together; one that only waits to be reaped is not."""
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _is_healthy(port: int) -> bool:
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=2)
        return answer.ok and answer.json()["scheduler"]["status"] == "healthy"
    except (requests.RequestException, ValueError, KeyError):
        return False


def _shows_dags(home: AirflowHome, port: int) -> bool:
    """Whether the pipelines have been parsed, or cannot be: before that, nobody can switch one on."""
    url = f"http://127.0.0.1:{port}"
    try:
        passwords = json.loads(_passwords(home).read_text(encoding="utf-8"))
        login = {"username": USER, "password": passwords[USER]}
        token = requests.post(f"{url}/auth/token", json=login, timeout=10).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        known = requests.get(f"{url}/api/v2/dags", headers=bearer, timeout=10).json()
        wrong = requests.get(f"{url}/api/v2/importErrors", headers=bearer, timeout=10).json()
        pipelines = {object_file.dag_id for object_file in read_object_files().values()}
        return bool(wrong["total_entries"]) or pipelines <= {dag["dag_id"] for dag in known["dags"]}
    except ObjectFileError:
        return True
    except (requests.RequestException, OSError, ValueError, KeyError):
        return False


def _passwords(home: AirflowHome) -> Path:
    return home.folder / "simple_auth_manager_passwords.json.generated"


def _tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def main() -> int:
    """The command behind `make up` and `make down`."""
    parser = argparse.ArgumentParser(prog="python -m local.services", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "supervise"])
    parser.add_argument("--root", type=Path, default=PROJECT / ".local", help="where everything lives")
    parser.add_argument("--port", type=int, default=8080, help="port of Airflow's UI on loopback")
    options = parser.parse_args()
    if not 0 < options.port < 65536:
        parser.error(f"--port is {options.port}; allowed are 1 to 65535")
    home = AirflowHome(options.root)
    try:
        if options.command == "up":
            return up(home, port=options.port)
        if options.command == "down":
            return down(home)
        return supervise(home, port=options.port)
    except LakeInUse as problem:
        print(problem, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
