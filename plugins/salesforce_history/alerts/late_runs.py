"""What happens at a deadline: whoever runs the callback looks at the run, and tells of what is unfinished."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

from include.alerts.lateness import LateRun, States, Watch, lateness
from include.config.environment import current_environment
from include.config.object_file import read_object_files
from salesforce_history.alerts.alerting import tell
from salesforce_history.links import run_link, runbook_link, task_link

log = logging.getLogger(__name__)

_UNENDED = ["queued", "running"]


def look(watched: Mapping[str, Any], dag_run: Mapping[str, Any], found: tuple[States, bool]) -> str:
    """Look at a run whose deadline has passed, and tell of what is unfinished. It blocks.

    :param watched: the fields of a `Watch`.
    :param dag_run: the run, as Airflow's REST API shows it.
    :param found: what `read_run` has found.
    :return: what was done.
    """
    watch = Watch.model_validate(watched)
    environment = current_environment()
    object_file = read_object_files().get(watch.noun)
    if object_file is None:
        return f"silent: {watch.noun} has no object file any more"
    dag_id, run_id = dag_run["dag_id"], dag_run["dag_run_id"]
    states, goes_on = found
    alert = lateness(
        watch,
        LateRun(
            dag_id=dag_id,
            run_id=run_id,
            run_type=dag_run["run_type"],
            goes_on=goes_on,
            queued_at=_moment(dag_run["queued_at"]),
            interval=_interval(dag_run),
        ),
        states,
        now=datetime.now(UTC),
        environment=environment.name,
        object_name=object_file.object,
        links={"run": run_link(dag_id, run_id), "runbook": runbook_link(environment, watch.kind)},
        log_link=partial(task_link, dag_id, run_id),
    )
    names = ", ".join(watch.groups)
    if alert is None:
        log.info("%s %s: nothing to tell of %s", dag_id, run_id, names)
        return f"silent: {names}"
    return f"{'told' if tell(alert, object_file=object_file) else 'known'}: {alert.headline}"


def read_run(dag_id: str, run_id: str) -> tuple[States, bool]:
    """The state of each task of a run, and whether the run goes on. It blocks while Airflow answers.

    :param dag_id: the DAG.
    :param run_id: the run.
    """
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
    return states, RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=_UNENDED) > 0


def _interval(dag_run: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    start, end = dag_run.get("data_interval_start"), dag_run.get("data_interval_end")
    return (_moment(start), _moment(end)) if start and end else None


def _moment(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)
