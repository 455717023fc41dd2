"""What happens to runs, as Airflow tells its callbacks; the lake and the channels are real."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from cosmos.exceptions import CosmosDbtRunError
from pyiceberg.catalog import Catalog

from include.alerts.alert import Alert, Kind
from include.config.object_file import read_object_files
from include.lake.alert_log import AlertRecord, read_alerts
from include.salesforce.errors import CredentialsRefused
from salesforce_history.alerts import watch
from salesforce_history.alerts.failure import tell_of_failure, tell_of_recovery
from salesforce_history.alerts.watch_failed import tell_of_watch_failure
from salesforce_history.noting import note_failure

USER = read_object_files()["user"]
DAG_ID = "sf_user_pipeline"
CHANNELS = ("sns", "slack", "email")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
FLOW = ("check_source", "extract", "validate", "upsert_raw", "take_turn", "dbt_scd2.int_sf_user_versions.test")


def flow() -> DAG:
    """The order of a pipeline's tasks, and nothing else of it."""
    with DAG(dag_id=DAG_ID, schedule=None) as dag:
        tasks = [EmptyOperator(task_id=name) for name in (*FLOW, "publish_metrics")]
        for before, after in pairwise(tasks):
            before >> after
    return dag


class World:
    """What happens to runs, as Airflow tells its callbacks."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog, self.dag = catalog, flow()

    def run(self, number: int, *, run_type: str = "scheduled", attempt: int = 0, **conf: Any) -> Any:
        """A run: it begins an hour after the one before, takes half an hour; each attempt adds five minutes."""
        start = NOON + timedelta(hours=number, minutes=5 * attempt)
        return SimpleNamespace(
            run_id=f"{run_type}__{number}",
            run_type=run_type,
            start_date=start,
            end_date=start + timedelta(minutes=4),
            data_interval_start=start - timedelta(hours=6),
            data_interval_end=start,
            conf=conf,
        )

    def context(self, run: Any, task: str, **more: Any) -> Any:
        ti = SimpleNamespace(
            dag_id=self.dag.dag_id,
            run_id=run.run_id,
            task_id=task,
            xcom_push=lambda **_: None,
            xcom_pull=lambda **_: [],
        )
        return {"dag": self.dag, "run_id": run.run_id, "dag_run": run, "ti": ti, **more}

    def task_fails(self, run: Any, task: str, problem: Exception) -> None:
        note_failure(self.context(run, task, exception=problem))

    def run_fails(self, run: Any, *, task: str = "extract", reason: str = "task_failure") -> None:
        tell_of_failure(self.context(run, task, reason=reason))

    def run_succeeds(self, run: Any) -> None:
        tell_of_recovery(self.context(run, "publish_metrics", reason="success"))

    def fails(self, run: Any, task: str = "extract", problem: Exception | None = None) -> None:
        self.task_fails(run, task, problem or CredentialsRefused("logging in: Salesforce answered no."))
        self.run_fails(run, task="publish_metrics")

    def watch(self, monkeypatch: pytest.MonkeyPatch, *, after: timedelta, states: dict[str, str] | None = None) -> None:
        """The watch looks, `after` the alerts were claimed; Airflow says of runs what `states` says."""

        def count(*, dag_id: str, run_ids: list[str], states: list[str], known: Any = states or {}) -> int:
            return sum(known.get(run_id, "failed") in states for run_id in run_ids)

        from include.config.environment import current_environment

        monkeypatch.setattr(watch.RuntimeTaskInstance, "get_dr_count", staticmethod(count))
        now = datetime.now(UTC) + after
        watch.send_untold(self.catalog, current_environment(), now=now)
        watch.resolve_what_is_over(self.catalog, current_environment())
        watch.escalate(self.catalog, current_environment(), now=now)

    def alerts(self) -> list[AlertRecord]:
        return read_alerts(self.catalog, "sf_ops")


def alert(kind: Kind, key: str = "k", **words: Any) -> Alert:
    told = {"headline": f"{kind} happened", "error": "why", "remedy": "Do this.", "links": {"runbook": "docs"}}
    common = {"environment": "local", "object": "User", "dag_id": DAG_ID, "run_id": "scheduled__1", "at": NOON}
    return Alert.model_validate({"kind": kind, "key": key, **told, **common, **words})


def dbt_failure(*tests: str) -> Exception:
    results = "\n".join(f"{test}: Got 2 results, configured to fail if != 0" for test in tests)
    return CosmosDbtRunError(f"dbt invocation completed with errors: {results}")


def watch_run_fails(world: World, number: int, *, before: int | None) -> None:
    """A run of it fails; so had the one before, or it succeeded."""
    run = world.run(number)
    with DAG(dag_id="sf_history_watch", schedule=None) as dag:
        EmptyOperator(task_id="look")
    last = world.run(number - 1 if before is None else before)
    last.state = "success" if before is None else "failed"
    context = {**world.context(run, "look", reason="task_failure"), "dag": dag}
    context["ti"].dag_id, context["ti"].get_previous_dagrun = dag.dag_id, lambda: last
    note_failure({**context, "exception": ConnectionError("the catalog does not answer")})  # type: ignore[typeddict-item]
    tell_of_watch_failure(context)  # type: ignore[arg-type]
