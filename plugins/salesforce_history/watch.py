"""`sf_history_watch`: every few minutes it looks for failures that nobody has resolved, and tells each once more.

It also makes up for what a callback could not finish: an alert that was claimed and reached nobody is sent again, and a
failure whose run has succeeded since is resolved.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Context
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from pyiceberg.catalog import Catalog

from include.alerts.alert import Alert
from include.config.environment import Environment, current_environment
from include.lake.alert_log import AlertRecord, mark_escalated, never_told, open_failures, readable, resolve
from include.lake.run_log import read_runs
from salesforce_history.alerting import tell, tell_again
from salesforce_history.connections import lake_catalog
from salesforce_history.dag_defaults import FIRST_INTERVAL, OWNER
from salesforce_history.dag_objects import object_called
from salesforce_history.noting import noting_problems
from salesforce_history.recovery import EndedRun, tell_recovered
from salesforce_history.watch_failed import tell_of_watch_failure

DAG_ID = "sf_history_watch"

#: Whoever has claimed an alert is done with it by then, or dead.
_STILL_SENDING = timedelta(minutes=5)
#: States of a run that somebody has cleared: its end will be told.
_AGAIN_AT_WORK = ["queued", "running"]


def build_watch() -> dict[str, DAG]:
    """The DAG, by its id."""
    environment = current_environment()
    with DAG(
        dag_id=DAG_ID,
        description="Tells unresolved failures of the pipelines once more, and sends alerts that reached nobody again",
        doc_md=_DOC,
        schedule=environment.watch_schedule,
        start_date=FIRST_INTERVAL,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(minutes=10),
        on_failure_callback=tell_of_watch_failure,
        # On a laptop there is nobody to wake, and a run every few minutes would only be in the way.
        # Anywhere else it starts by itself, whatever Airflow does with new DAGs: alerts would stay unsent unnoticed.
        is_paused_upon_creation=environment.name == "local",
        tags=["salesforce", "alerts"],
        # The next run is the retry.
        default_args={"owner": OWNER, "retries": 0},
    ) as dag:
        WatchOperator(task_id="look")
    return {dag.dag_id: dag}


class WatchOperator(BaseOperator):
    """Look once."""

    ui_color = "#ffe8d8"

    def execute(self, context: Context) -> dict[str, int]:
        """Send, resolve, escalate. Each is done, whatever becomes of the others.

        :return: how many of each.
        """
        with noting_problems(context):
            return self._look()

    def _look(self) -> dict[str, int]:
        environment = current_environment()
        catalog = lake_catalog(environment.iceberg_conn_id)
        now = datetime.now(UTC)
        steps: dict[str, Callable[[], int]] = {
            "sent_again": lambda: send_untold(catalog, environment, now=now),
            "resolved": lambda: resolve_what_is_over(catalog, environment),
            "escalated": lambda: escalate(catalog, environment, now=now),
        }
        done: dict[str, int] = {}
        problems: list[Exception] = []
        for name, step in steps.items():
            try:
                done[name] = step()
            except Exception as problem:
                self.log.exception("%s: the other steps are done all the same", name)
                problems.append(problem)
        self.log.info("%s", done)
        if problems:
            raise problems[0]
        return done


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


_DOC = """
### Failures that nobody has resolved

Every few minutes: failures in `sf_ops.alerts` that are older than `SF_HISTORY_ESCALATION_SECONDS`, and which neither a
re-run nor a later run has made good, are told once more. Alerts that reached nobody are sent again. Failures whose run
has succeeded since are resolved. It reads and writes `sf_ops.alerts`, and nothing else.
"""
