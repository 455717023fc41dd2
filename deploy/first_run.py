"""A run of the first pipeline after a deployment: started, waited for, reported."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from rich.console import Console
from rich.markup import escape

from deploy.airflow_api import AirflowApi
from deploy.problem import DeployFailed

#: The pipeline of the first object.
DAG = "sf_user_pipeline"
_OURS = "deploy__"
_OPEN = ("queued", "running")
_MARKS = {"success": "[green]✓[/]", "failed": "[red]✗[/]", "upstream_failed": "[red]✗[/]", "skipped": "[dim]–[/]"}
_ENDED = ("success", "failed", "upstream_failed", "skipped", "removed")


def wait_for_dag(api: AirflowApi, console: Console, *, pause: float, patience: float) -> None:
    """Wait until Airflow has parsed the pipeline.

    :param api: of the environment.
    :param console: what people see.
    :param pause: seconds between two looks.
    :param patience: seconds after which it is given up.
    :raises DeployFailed: with the import errors, if there are any.
    """
    until = time.monotonic() + patience
    while api.dag(DAG) is None:
        if errors := api.import_errors():
            raise DeployFailed(
                f"Airflow cannot import the DAGs.{''.join(f'{chr(10)}  - {error}' for error in errors)}",
                "The last line of each error says why. If a package is missing, the requirements were not installed: "
                "log group airflow-<environment>-Scheduler, stream requirements_install. Then run it again.",
            )
        if time.monotonic() >= until:
            raise DeployFailed(
                f"Airflow has not found {DAG} within {patience:.0f} seconds.",
                "MWAA copies dags/ every 30 seconds and parses it then; its log group DAGProcessing says what it does. "
                "Run the same command again.",
            )
        console.print(f"  [dim]… waiting for Airflow to parse {DAG}[/]")
        time.sleep(pause)


def last_success(api: AirflowApi) -> dict[str, Any] | None:
    """The newest successful run; None where there is none among the last ones.

    :param api: of the environment.
    """
    return next((run for run in api.runs(DAG) if run["state"] == "success"), None)


def start_or_resume(api: AirflowApi, console: Console) -> str:
    """Switch the pipeline on and trigger it, unless a run that an earlier deployment triggered is still going on.

    :param api: of the environment.
    :param console: what people see.
    :return: the run's id.
    """
    if api.switch_on(DAG):
        console.print(f"  {DAG} is switched on: from now on it runs by its schedule")
    for run in api.runs(DAG):
        if str(run["dag_run_id"]).startswith(_OURS) and run["state"] in _OPEN:
            console.print(f"  {run['dag_run_id']} is still going on")
            return str(run["dag_run_id"])
    run_id = f"{_OURS}{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    api.trigger(DAG, run_id)
    console.print(f"  {run_id} triggered")
    return run_id


def wait_for_run(api: AirflowApi, run_id: str, console: Console, *, pause: float) -> str:
    """Wait until a run has ended, and print its tasks as they end.

    :param api: of the environment.
    :param run_id: of the run.
    :param console: what people see.
    :param pause: seconds between two looks.
    :return: its state, success or failed.
    """
    told: set[str] = set()
    while True:
        state = str(api.run(DAG, run_id)["state"])
        for task, at in api.tasks(DAG, run_id).items():
            if at in _ENDED and task not in told:
                told.add(task)
                console.print(f"    {_MARKS.get(str(at), '[dim]–[/]')} {escape(task):<58} {at}")
        if state not in _OPEN:
            return state
        time.sleep(pause)


def report(console: Console, *, run_id: str, state: str, row: Mapping[str, Any] | None, webserver: str) -> None:
    """Print what a run did, and where to look.

    :param console: what people see.
    :param run_id: of the run.
    :param state: its state.
    :param row: of `sf_ops.pipeline_runs`; None where it has none.
    :param webserver: host of Airflow's UI.
    """
    console.print(f"[bold]{run_id}[/]: {'[green]' if state == 'success' else '[red]'}{state}[/]")
    if row:
        window = f"{row['window_start'] or 'beginning'} → {row['window_end']}"
        numbers = {
            "rows read": row["rows_extracted"],
            "rejected": row["rows_quarantined"],
            "logged": row["observations_logged"],
            "records": row["records"],
            "versions": row["versions"],
            "opened": row["versions_opened"],
            "closed": row["versions_closed"],
        }
        console.print(f"  window {window}")
        console.print("  " + ", ".join(f"{name} {value:,}" for name, value in numbers.items() if value is not None))
    else:
        console.print("  sf_ops.pipeline_runs has no row of it that can be read from here")
    console.print(f"  Airflow   https://{webserver}/dags/{DAG}/runs/{quote(run_id, safe='')}")
