"""Where a person clicks: pages of Airflow's UI and sections of the runbook."""

from __future__ import annotations

from urllib.parse import quote

from airflow.sdk.configuration import conf

from include.alerts.alert import RUNBOOK, Kind
from include.alerts.runbook import SECTIONS
from include.config.environment import Environment


def dag_link(dag_id: str, *, base: str | None = None) -> str:
    """The DAG's page in Airflow.

    :param dag_id: the DAG.
    :param base: where Airflow is; default: as it is configured, for whoever reads it elsewhere.
    """
    if base is None:
        base = conf.get("api", "base_url", fallback="")
    return f"{base.rstrip('/')}/dags/{quote(dag_id, safe='')}"


def run_link(dag_id: str, run_id: str, *, base: str | None = None) -> str:
    """The run's page in Airflow.

    :param dag_id: the DAG.
    :param run_id: the run.
    :param base: see `dag_link`.
    """
    return f"{dag_link(dag_id, base=base)}/runs/{quote(run_id, safe='')}"


def task_link(dag_id: str, run_id: str, task_id: str) -> str:
    """The page of a run's task, which opens on its log.

    :param dag_id: the DAG.
    :param run_id: the run.
    :param task_id: the task.
    """
    return f"{run_link(dag_id, run_id)}/tasks/{quote(task_id, safe='')}"


def runbook_link(environment: Environment, kind: Kind) -> str:
    """The section of the runbook about a kind of alert.

    :param environment: it says where the docs can be read.
    :param kind: the kind of alert.
    """
    return f"{environment.docs_url.rstrip('/')}/runbook.md#{RUNBOOK[kind]}"


def error_link(environment: Environment, error: str, kind: Kind) -> str:
    """The section of the runbook about an error; where it has none, the one about the alert.

    :param environment: it says where the docs can be read.
    :param error: name of the exception's class; empty: not known.
    :param kind: the kind of alert.
    """
    if error in SECTIONS:
        return f"{environment.docs_url.rstrip('/')}/runbook.md#{SECTIONS[error]}"
    return runbook_link(environment, kind)
