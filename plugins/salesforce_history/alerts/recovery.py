"""When a failure is over: which later run makes it good, and how that is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from include.alerts.alert import Alert
from include.alerts.bounded import within
from include.config.environment import current_environment
from include.config.object_file import ObjectFile
from include.lake.alert_log import AlertRecord, open_failures, readable, resolve
from salesforce_history.alerts.alerting import tell
from salesforce_history.asked import BACKFILL, asked_for, does_something_else
from salesforce_history.connections import lake_catalog
from salesforce_history.links import run_link, runbook_link

#: How long the lake may take to say what is open.
_LAKE_SECONDS = 8.0


@dataclass(frozen=True, kw_only=True)
class EndedRun:
    """What Airflow says of a run that has ended.

    :param run_id: its id.
    :param ended_at: when it ended, after the last time it was cleared.
    :param attempt: tells one end of a run from another, after it was cleared; empty where Airflow does not say.
    :param interval: its data interval; None where it has none.
    :param something_else: it does what it was told to, rather than what every run does: going on from the watermark,
        or looking after all tables.
    :param asked_for: what it was asked for that no other run does, in words.
    """

    run_id: str
    ended_at: datetime
    attempt: str = ""
    interval: tuple[datetime | None, datetime] | None = None
    something_else: bool = False
    asked_for: str = ""

    @classmethod
    def of(cls, dag_id: str, run_id: str, dag_run: Any) -> EndedRun:
        """From a callback's context.

        :param dag_id: the DAG.
        :param run_id: the run.
        :param dag_run: of the context; None where it has none.
        """
        now = datetime.now(UTC)
        if dag_run is None:
            run_type = BACKFILL if run_id.startswith(BACKFILL) else ""
            return cls(
                run_id=run_id,
                ended_at=now,
                something_else=bool(run_type),
                asked_for=asked_for(dag_id, {}, run_type=run_type),
            )
        start, end = dag_run.data_interval_start, dag_run.data_interval_end
        conf = dag_run.conf or {}
        run_type = str(getattr(dag_run.run_type, "value", dag_run.run_type))
        return cls(
            run_id=run_id,
            ended_at=dag_run.end_date or now,
            attempt=dag_run.end_date.isoformat() if dag_run.end_date else "",
            interval=(start, end) if end else None,
            something_else=does_something_else(dag_id, conf, run_type=run_type),
            asked_for=asked_for(dag_id, conf, run_type=run_type),
        )

    def makes_good(self, failure: AlertRecord) -> bool:
        """Whether the success of this run ends a failure: the same run cleared, or the next one.

        A run that did something else has not done what another one missed; nor has any other run done what a failed
        one was asked for.

        :param failure: an open failure of the same DAG.
        """
        failed = failure.restored()
        if self.ended_at <= failed.at:
            return False
        if failure.run_id == self.run_id:
            return True
        return not self.something_else and not failed.asked_for and not failure.run_id.startswith(BACKFILL)


def tell_recovered(dag_id: str, run: EndedRun, *, object_file: ObjectFile | None) -> None:
    """Say once that failures are over, and resolve them; says nothing where there are none.

    :param dag_id: the DAG.
    :param run: it has succeeded.
    :param object_file: whose routing holds; None: the environment's.
    """
    environment = current_environment()
    catalog = lake_catalog(environment.iceberg_conn_id)

    def ask() -> list[AlertRecord]:
        return open_failures(catalog, environment.operations_namespace, dag_id=dag_id)

    failures = within(_LAKE_SECONDS, ask, called="alert-open-failures")
    over = [failure for failure in readable(failures) if run.makes_good(failure)]
    if not over:
        return
    tell(_alert(over, dag_id, run), object_file=object_file)
    # Told first: should this process die here, the next run or the watch resolves them, and tells nothing twice.
    resolve(
        catalog,
        environment.operations_namespace,
        [failure.key for failure in over],
        at=datetime.now(UTC),
        by=run.run_id,
    )


def _alert(over: Sequence[AlertRecord], dag_id: str, run: EndedRun) -> Alert:
    environment, newest = current_environment(), over[-1]
    before = ", ".join(dict.fromkeys(failure.run_id for failure in over))
    same = newest.run_id == run.run_id
    return Alert(
        kind="run_recovered",
        key=f"{newest.key}/recovered",
        environment=environment.name,
        object=newest.object,
        dag_id=dag_id,
        run_id=run.run_id,
        interval=run.interval,
        headline="recovered: the run that had failed has succeeded"
        if same
        else "recovered: the next run has succeeded",
        error=f"It had been: {newest.restored().headline} ({before}).",
        stakes="What the failed run missed has been read and published." if newest.object else "",
        remedy="Nothing is left to do.",
        links={"run": run_link(dag_id, run.run_id), "runbook": runbook_link(environment, "run_recovered")},
        at=run.ended_at,
    )
