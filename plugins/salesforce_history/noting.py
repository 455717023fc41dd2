"""A task that fails leaves word of why: an XCom, which the run's callback reads where it runs, far from the task."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk import BaseHook, Context
from airflow.sdk.exceptions import AirflowSkipException

from include.alerts.problem import Problem, problem_of
from include.config.environment import current_environment

log = logging.getLogger(__name__)

#: XCom key of a task that failed: a `Problem`.
PROBLEM = "problem"

#: `dag.test` runs tasks and callbacks in one process, and gives the callbacks no way to read an XCom. What was noted
#: in this process is therefore kept here as well: (DAG, run) → task → problem, of the last run of each DAG.
_noted_here: dict[str, tuple[str, dict[str, Problem]]] = {}


@contextmanager
def noting_problems(context: Context) -> Iterator[None]:
    """Leave word of whatever goes wrong inside, and let it go on.

    :param context: the task's.
    """
    try:
        yield
    except AirflowSkipException:
        raise
    except Exception as problem:
        note(context, problem)
        raise


def note_failure(context: Context) -> None:
    """A task's `on_failure_callback`: leave word of why it failed.

    A task that was killed has no exception, and its callback runs where no XCom can be written: then there is nothing
    to note, and the alert says so.

    :param context: the task's.
    """
    exception = context.get("exception")
    if isinstance(exception, BaseException):
        note(context, exception)


def note(context: Context, exception: BaseException) -> None:
    """Leave word of an exception. Never raises: the task fails by its own problem.

    :param context: the task's.
    :param exception: what ends it.
    """
    try:
        instance: Any = context["ti"]
        problem = problem_of(exception, secrets=_secrets())
        instance.xcom_push(key=PROBLEM, value=problem.model_dump(mode="json"))
        run_id, problems = _noted_here.get(instance.dag_id, ("", {}))
        if run_id != instance.run_id:
            problems = {}
        problems[instance.task_id] = problem
        _noted_here[instance.dag_id] = (instance.run_id, problems)
    except Exception:
        log.warning("it could not be noted why the task failed; the alert will say less", exc_info=True)


def noted_here(dag_id: str, run_id: str) -> dict[str, Problem]:
    """What was noted in this process: task → problem.

    :param dag_id: the DAG.
    :param run_id: the run.
    """
    noted, problems = _noted_here.get(dag_id, ("", {}))
    return problems if noted == run_id else {}


def _secrets() -> list[str | None]:
    from salesforce_history.connections import salesforce_secrets

    environment = current_environment()
    found: list[str | None] = list(salesforce_secrets(environment))
    try:
        lake = BaseHook.get_connection(environment.iceberg_conn_id)
    except Exception:  # noqa: BLE001 - a connection that is not there holds nothing
        return found
    extra = lake.extra_dejson.items()
    return [*found, lake.password, *(value for key, value in extra if _is_secret(key) and isinstance(value, str))]


def _is_secret(key: str) -> bool:
    return any(word in key.lower() for word in ("secret", "token", "password", "credential", "access-key"))
