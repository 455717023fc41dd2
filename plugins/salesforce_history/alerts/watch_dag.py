"""`sf_history_watch`: every few minutes it looks for failures that nobody has resolved (watch.py)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, BaseOperator, Context

from include.config.environment import current_environment
from salesforce_history.alerts.callbacks import tell_of_watch_failure
from salesforce_history.dag_defaults import FIRST_INTERVAL, OWNER
from salesforce_history.noting import noting_problems

DAG_ID = "sf_history_watch"


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
        from salesforce_history.alerts import watch
        from salesforce_history.connections import lake_catalog

        environment = current_environment()
        catalog = lake_catalog(environment.iceberg_conn_id)
        now = datetime.now(UTC)
        steps: dict[str, Callable[[], int]] = {
            "sent_again": lambda: watch.send_untold(catalog, environment, now=now),
            "resolved": lambda: watch.resolve_what_is_over(catalog, environment),
            "escalated": lambda: watch.escalate(catalog, environment, now=now),
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


_DOC = """
### Failures that nobody has resolved

Every few minutes: failures in `sf_ops.alerts` that are older than `SF_HISTORY_ESCALATION_SECONDS`, and which neither a
re-run nor a later run has made good, are told once more. Alerts that reached nobody are sent again. Failures whose run
has succeeded since are resolved. It reads and writes `sf_ops.alerts`, and nothing else.
"""
