"""Checks of Airflow on MWAA: the environment, its DAGs, its pools, the last run."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.account import Account
from deploy.airflow_api import AirflowApi
from deploy.check import Check, judged
from deploy.environment_wait import read_environment, unavailable
from deploy.first_run import DAG
from deploy.names import Names
from include.config.environment import current_environment


def airflow_checks(account: Account, names: Names) -> Iterator[Check]:
    """The checks; where the environment is not available, there is nobody to ask the rest.

    :param account: where it is.
    :param names: of the environment.
    """
    found = read_environment(account, names.mwaa)
    status = str(found["Status"]) if found else "not there"
    remedy = unavailable(names.mwaa, found).remedy if status != "AVAILABLE" else ""
    yield judged(f"MWAA environment {names.mwaa}", status == "AVAILABLE", status, remedy)
    if status != "AVAILABLE":
        return
    api = AirflowApi(account, names.mwaa)
    errors = api.import_errors()
    yield judged(
        "DAG files", not errors, f"{len(errors)} cannot be imported" if errors else "imported", "; ".join(errors)
    )
    wanted = current_environment({"SF_HISTORY_ENV": names.environment})
    missing = [pool for pool in (wanted.salesforce_pool, wanted.dbt_pool) if not api.has_pool(pool)]
    yield judged(
        "pools",
        not missing,
        f"{', '.join(missing)} missing" if missing else f"{wanted.salesforce_pool}, {wanted.dbt_pool}",
        f"No task of a missing pool ever starts. make deploy ENV={names.environment} makes them.",
    )
    dag = api.dag(DAG)
    if dag is None:
        yield Check(DAG, "failed", "not there", "Look at its log group DAGProcessing, then make deploy ENV=….")
        return
    yield judged(
        DAG, not dag["is_paused"], "paused" if dag["is_paused"] else "switched on", "Switch it on in Airflow's UI."
    )
    runs = api.runs(DAG, most=1)
    if not runs:
        yield Check("last run", "failed", "there was none", f"Trigger {DAG}, or: make deploy ENV={names.environment}.")
        return
    last = runs[0]
    remedy = "The log of its failed task says why, and docs/runbook.md what to do. Then clear the task."
    found_run = f"{last['dag_run_id']}: {last['state']}"
    yield judged("last run", last["state"] in ("success", "running", "queued"), found_run, remedy)
