"""What `sf_history_watch` does: it tells once more of failures that nobody has resolved, and sends what reached nobody.

It also makes up for what a callback could not finish: an alert that was claimed and reached nobody is sent again, and a
failure whose run has succeeded since is resolved.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from pyiceberg.catalog import Catalog

from include.alerts.alert import Alert
from include.config.environment import Environment
from include.lake.alert_log import AlertRecord, mark_escalated, never_told, open_failures, readable, resolve
from include.lake.run_log import read_runs
from salesforce_history.alerts.alerting import tell, tell_again
from salesforce_history.alerts.recovery import EndedRun, tell_recovered
from salesforce_history.dag_objects import object_called

#: Whoever has claimed an alert is done with it by then, or dead.
_STILL_SENDING = timedelta(minutes=5)
#: States of a run that somebody has cleared: its end will be told.
_AGAIN_AT_WORK = ["queued", "running"]


def send_untold(catalog: Catalog, environment: Environment, *, now: datetime) -> int:
    """Send what was claimed a while ago and has reached nobody.

    :param catalog: the lake's.
    :param environment: names the table.
    :param now: the time.
    :return: how many.
    """
    untold = readable(never_told(catalog, environment.operations_namespace, before=now - _STILL_SENDING))
    for record in untold:
        tell_again(record.restored(), object_file=object_called(record.object))
    return len(untold)


def resolve_what_is_over(catalog: Catalog, environment: Environment) -> int:
    """Resolve failures whose run has succeeded since, or a later run of whose DAG has; say so as the run would have.

    :param catalog: the lake's.
    :param environment: names the tables.
    :return: how many failures are no longer open.
    """
    namespace = environment.operations_namespace
    before = readable(open_failures(catalog, namespace))
    if not before:
        return 0
    runs = [run for run in read_runs(catalog, namespace).to_pylist() if run["state"] == "success"]
    for failure in before:
        if run := _made_good_by(failure, runs):
            tell_recovered(failure.dag_id, run, object_file=object_called(failure.object))
    for failure in (latest := _latest_of_each_run(readable(open_failures(catalog, namespace)))).values():
        same = [one.key for one in before if (one.dag_id, one.run_id) == (failure.dag_id, failure.run_id)]
        older = [key for key in same if key != failure.key]
        resolve(catalog, namespace, older, at=datetime.now(UTC), by=f"{failure.run_id}, which failed again")
    return len(before) - len(latest)


def escalate(catalog: Catalog, environment: Environment, *, now: datetime) -> int:
    """Tell every failure once more that has been open for too long, unless its run is at work again.

    :param catalog: the lake's.
    :param environment: names the table, and says how long is too long.
    :param now: the time.
    :return: how many were told.
    """
    patience = timedelta(seconds=environment.escalation_seconds)
    told = 0
    for failure in readable(open_failures(catalog, environment.operations_namespace)):
        if failure.escalated_at is not None or now - failure.opened_at < patience:
            continue
        if _count(failure, _AGAIN_AT_WORK):
            continue
        told += tell(_unresolved(failure, now), object_file=object_called(failure.object))
        mark_escalated(catalog, environment.operations_namespace, failure.key, at=now)
    return told


def _made_good_by(failure: AlertRecord, runs: list[dict[str, Any]]) -> EndedRun | None:
    """The run that ended a failure, as far as Airflow and the table of runs say; None: it is open."""
    if _count(failure, ["success"]):
        # Nobody says when: it makes good itself, and no other run's failure.
        return EndedRun(run_id=failure.run_id, ended_at=datetime.now(UTC), something_else=True)
    failed_at = failure.restored().at
    later = [
        run
        for run in runs
        if run["object"] == failure.object
        and run["environment"] == failure.environment
        and run["recorded_at"] > failed_at
        # What was read on request, or for a backfill, is not what the failed run has missed.
        and run["kind"] == "scheduled"
    ]
    if not later:
        return None
    last = max(later, key=lambda run: run["recorded_at"])
    ended = EndedRun(run_id=last["run_id"], ended_at=last["recorded_at"])
    return ended if ended.makes_good(failure) else None


def _latest_of_each_run(failures: list[AlertRecord]) -> dict[tuple[str, str], AlertRecord]:
    """A run that was cleared and failed again is one failure: the last."""
    return {(failure.dag_id, failure.run_id): failure for failure in failures}


def _count(failure: AlertRecord, states: list[str]) -> int:
    return RuntimeTaskInstance.get_dr_count(dag_id=failure.dag_id, run_ids=[failure.run_id], states=states)


def _unresolved(failure: AlertRecord, now: datetime) -> Alert:
    first = failure.restored()
    minutes = round((now - failure.opened_at).total_seconds() / 60)
    return first.model_copy(
        update={
            "kind": "failure_unresolved",
            "key": f"{failure.key}/unresolved",
            "headline": f"unresolved for {minutes} minutes: {first.headline}",
            "at": now,
        }
    )
