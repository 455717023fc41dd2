"""The watch itself has failed: told once an outage, not every five minutes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context

from include.alerts.alert import Alert
from include.config.environment import current_environment
from salesforce_history.alerts.alerting import tell
from salesforce_history.alerts.failure import never_raises
from salesforce_history.links import error_link, run_link
from salesforce_history.run_facts import facts_of

log = logging.getLogger(__name__)


@never_raises
def tell_of_watch_failure(context: Context) -> None:
    """The watch's `on_failure_callback`: one alert a day and outage.

    `sf_ops.alerts` holds one key a day. Where the lake is what is down, no key can be claimed, so the run before is
    asked as well: if it has failed on the same day, it has told.

    :param context: Airflow's.
    """
    environment, dag, run_id = current_environment(), context["dag"], context["run_id"]
    run: Any = context.get("dag_run")
    at = (run.end_date if run is not None else None) or datetime.now(UTC)
    if _told_by_the_run_before(context.get("ti"), at):
        log.info("the watch fails still; it was told of before")
        return
    try:
        problem = facts_of(dag, run_id, None).problem
    except Exception:
        log.warning("little is known of run %s of %s", run_id, dag.dag_id, exc_info=True)
        problem = None
    error = problem.error if problem else ""
    alert = Alert(
        kind="watch_failed",
        key=f"{dag.dag_id}/{at:%Y-%m-%d}",
        environment=environment.name,
        dag_id=dag.dag_id,
        run_id=run_id,
        headline=f"the watch failed{f': {error}' if error else ''}",
        error=f"{error}: {problem.line}" if problem else f"Airflow says {context.get('reason') or 'nothing'}.",
        stakes="Until it succeeds, unresolved failures are not told again, nor alerts that reached nobody sent again.",
        remedy="Look at the log of its task and mend the cause: the next run, in minutes, makes up for what it missed.",
        links={"run": run_link(dag.dag_id, run_id), "runbook": error_link(environment, error, "watch_failed")},
        at=at,
    )
    tell(alert, object_file=None)


def _told_by_the_run_before(instance: Any, at: datetime) -> bool:
    try:
        before = instance.get_previous_dagrun()
    except Exception:  # noqa: BLE001 - nobody can say: told twice is better than never
        return False
    if before is None or before.end_date is None:
        return False
    return str(getattr(before.state, "value", before.state)) == "failed" and before.end_date.date() == at.date()
