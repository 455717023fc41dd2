"""What `pipeline_run` measures: a parse of the DAG file, and a run under a real scheduler with its dbt group."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.measure import Clock
from bench.pipeline_parts import TaskTimes, cpu_by_part, split
from local.airflow_home import PROJECT

DBT_GROUP = "dbt_scd2."
#: What a `dbt` prints when its nodes have run.
_FINISHED = re.compile(r"Finished running .*?\((\d+(?:\.\d+)?)s\)")
#: Airflow and Cosmos as they come, for the set-up that this one is compared with.
STOCK = {"SF_HISTORY_DBT_EXECUTION": "local", "SF_HISTORY_DBT_EXECUTABLE": str(Path(sys.executable).parent / "dbt")}

_PARSE = """
import json, resource, subprocess, sys

def cpu():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime

started = []
popen = subprocess.Popen.__init__
def noted(self, args, *more, **options):
    started.append(str(args))
    return popen(self, args, *more, **options)
subprocess.Popen.__init__ = noted

import airflow.dag_processing.manager
import structlog
from airflow.dag_processing.processor import DagFileParseRequest, _parse_file, _pre_import_airflow_modules

log = structlog.get_logger()
_pre_import_airflow_modules(sys.argv[1], log)
before = cpu()
started.clear()
request = DagFileParseRequest(file=sys.argv[1], bundle_path=sys.argv[2], bundle_name="bench", callback_requests=[])
result = _parse_file(request, log)
after = cpu()
assert not result.import_errors, result.import_errors
heavy = {"dbt", "boto3", "duckdb", "pyarrow", "pyiceberg", "simple_salesforce"} & set(sys.modules)
print("RESULT" + json.dumps({
    "file_cpu": round(after - before, 3),
    "process_cpu": round(after, 3),
    "dags": len(result.serialized_dags),
    "loads": ", ".join(sorted(heavy)) or "nothing",
    "processes": len(started),
}))
"""


def parse(clock: Clock, *, file: str) -> dict[str, Any]:
    """Parse a DAG file as Airflow's DAG processor does, in a fresh process, and serialize its DAGs.

    :param file: name of the file in dags/.
    :return: CPU of the whole process and of the file alone, what it has loaded.
    """
    with tempfile.TemporaryDirectory() as folder, clock.running():
        done = subprocess.run(
            [sys.executable, "-c", _PARSE, str(PROJECT / "dags" / file), str(PROJECT / "dags")],
            env={
                **os.environ,
                "AIRFLOW_HOME": folder,
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
                "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
                "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT / 'plugins'}",
                "SF_HISTORY_LAKE": folder,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
    told: dict[str, Any] = json.loads(done.stdout.split("RESULT", 1)[1])
    return told


def replayed_again(clock: Clock) -> dict[str, Any]:
    """`make run` a second time: the default scenario, four runs of the real DAG, lake and org begin empty.

    :param clock: counts the second one, as make starts it.
    :return: how many versions it has ended with.
    """
    from local.lake.catalog import lake_folder

    with _folder("again") as root:
        command = [sys.executable, "-m", "local.replay", "--root", str(root)]
        for counted in (False, True):
            with clock.running() if counted else contextlib.nullcontext():
                done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(done.stdout[-2000:] + done.stderr[-2000:])
        versions = lake_folder(root / "lake").open_catalog().load_table("sf_curated.dim_sf_user_scd").scan().count()
    return {"versions": versions}


def scheduled_run(clock: Clock, *, users: int, changes: int, stock: bool, bare: int = 0) -> dict[str, Any]:
    """A run of the pipeline under scheduler, API server, DAG processor and triggerer, after one that has read all.

    :param users: in the org.
    :param changes: of them changed since the run before.
    :param stock: with Cosmos's LOCAL mode in subprocesses, one `dbt` a task, rather than as the project does.
    :param bare: how often the same changes are then built by `dbt build` alone, with nothing around it.
    :return: seconds of wall time by part, of CPU by component.
    """
    from bench.pipeline_airflow import airflow, now

    with _folder("stock" if stock else "ours") as root:
        loaded, changed = root / "users.jsonl", root / "changes.jsonl"
        _write(
            loaded,
            (
                _event(
                    "insert",
                    number,
                    "2026-01-05T00:00:00Z",
                    Name=f"User {number}",
                    Division="North",
                    Audit_Phase__c="Phase1",
                )
                for number in range(users)
            ),
        )
        with airflow(root, events=loaded, settings=STOCK if stock else {}) as services:
            services.first_run()
            _write(changed, (_event("update", number, now(), Division="South") for number in range(changes)))
            _load(services.home.org, changed)
            services.home.task_times.write_text("", encoding="utf-8")
            before = services.used()
            with clock.running():
                run = services.run_once()
            used = {role: seconds - before[role] for role, seconds in services.used().items()}
            clock.cpu += sum(used.values())
            facts = _facts(services, run, used)
        if bare:
            facts |= _bare_builds(root, times=bare)
    return {name: round(value, 2) for name, value in facts.items()}


def _facts(services: Any, run: dict[str, Any], used: dict[str, float]) -> dict[str, Any]:
    run_id = run["dag_run_id"]
    lines = services.home.task_times.read_text(encoding="utf-8").splitlines()
    tasks = [
        TaskTimes(**{name: one[name] for name in ("task_id", "began", "ready", "done", "cpu_ready", "cpu_done")})
        for one in map(json.loads, lines)
        if one["run_id"] == run_id
    ]
    dbt_seconds = _dbt_seconds(services, run_id)
    began, ended = (datetime.fromisoformat(run[name]).timestamp() for name in ("queued_at", "end_date"))
    parts = split(tasks, began=began, ended=ended, dbt_group=DBT_GROUP, dbt_seconds=dbt_seconds)
    group = [task for task in tasks if task.task_id.startswith(DBT_GROUP)]
    turn = max(task.done for task in tasks if task.task_id == "take_turn")
    in_tasks = cpu_by_part(tasks, dbt_group=DBT_GROUP, dbt_tasks=dbt_seconds)
    return {
        "run": ended - began,
        "task processes": len(tasks),
        "dbt group wall": max(task.done for task in group) - turn,
        "dbt group CPU": sum(task.cpu_done for task in group),
        **{f"wall: {part}": seconds for part, seconds in parts.items()},
        **{f"CPU in tasks: {part}": seconds for part, seconds in in_tasks.items()},
        **{f"CPU: {role}": seconds for role, seconds in used.items()},
    }


def _dbt_seconds(services: Any, run_id: str) -> dict[str, float]:
    """How long the nodes of each dbt invocation took, as dbt says in the log of the task that ran it."""
    from bench.pipeline_airflow import DAG_ID

    found = {}
    tasks = services.call("GET", f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances?limit=100")["task_instances"]
    for task in tasks:
        if not task["task_id"].startswith(DBT_GROUP):
            continue
        path = f"dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
        told = _FINISHED.search(json.dumps(services.call("GET", path)))
        if told:
            found[task["task_id"]] = float(told[1])
    return found


def _bare_builds(root: Path, *, times: int) -> dict[str, float]:
    """`dbt build` of the object's models on the same changes, again and again; the first is not counted.

    The ledger forgets the last batch, so that dbt takes it up again; the MERGE ends in the same rows.
    """
    from local.lake.catalog import lake_folder

    catalog = lake_folder(root / "lake").open_catalog()
    ledger = "sf_curated.sf_user_consumed"
    consumed = catalog.load_table(ledger).scan().to_arrow().to_pylist()
    newest = max(consumed, key=lambda one: one["_extracted_at"])["_extraction_run_id"]
    walls, cpus = [], []
    for _ in range(times + 1):
        catalog.load_table(ledger).delete(f"_extraction_run_id = '{newest}'")
        before, began = _children(), time.perf_counter()
        _dbt_build(root)
        walls.append(time.perf_counter() - began)
        cpus.append(_children() - before)
        if newest not in catalog.load_table(ledger).scan().to_arrow()["_extraction_run_id"].to_pylist():
            raise RuntimeError("the bare dbt build took nothing up: it did less than the run")
    middle = sorted(range(1, times + 1), key=lambda number: walls[number])[times // 2]
    return {"bare dbt wall": walls[middle], "bare dbt CPU": cpus[middle]}


def _dbt_build(root: Path) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "dbt"),
            "build",
            "--select",
            "tag:sf_user",
            "--exclude-resource-type",
            "unit_test",
            "--project-dir",
            str(PROJECT / "dbt"),
            "--profiles-dir",
            str(PROJECT / "dbt"),
            "--target-path",
            str(root / "bare"),
        ],
        env={
            **os.environ,
            "SF_HISTORY_LAKE": str(root / "lake"),
            "SF_HISTORY_ROOT": str(PROJECT),
            "SF_HISTORY_RAW_NAMESPACE": "sf_raw",
            "SF_HISTORY_CURATED_NAMESPACE": "sf_curated",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DBT_LOG_PATH": str(root / "bare"),
            "PYTHONPATH": str(PROJECT),
        },
        capture_output=True,
        text=True,
        check=False,
        cwd=PROJECT,
    )
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-1000:])


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _folder(name: str) -> Iterator[Path]:
    root = Path.cwd() / f"pipeline-{name}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    try:
        yield root
    finally:
        if not os.environ.get("BENCH_KEEP"):
            shutil.rmtree(root, ignore_errors=True)


def _event(op: str, number: int, at: str, **fields: str) -> dict[str, Any]:
    from local.org.ids import to_18

    return {"at": at, "op": op, "object": "User", "Id": to_18(f"0055e{number:010d}"), "fields": fields}


def _write(path: Path, events: Any) -> None:
    path.write_text("\n".join(json.dumps(event) for event in events) + "\n", encoding="utf-8")


def _load(org: Path, events: Path) -> None:
    from local.org.handle import OrgHandle

    OrgHandle(org).load_events(events)
