"""Every case × every channel: told once, or silent, and in which words. Real topic, mail server and webhook."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from cosmos.exceptions import CosmosDbtRunError
from pyiceberg.catalog import Catalog

from include.alerts.alert import KINDS, RUNBOOK, Alert, Kind
from include.config.object_file import ObjectFile, read_object_files
from include.flow import Flow
from include.lake import alert_log
from include.lake.alert_log import AlertRecord, claim, open_failures, read_alerts
from include.lake.run_log import read_run, record_run
from include.salesforce.errors import CredentialsRefused
from include.staging.manifest import ReadPlan
from local.lake.catalog import lake_folder
from salesforce_history import noting
from salesforce_history.alerts import alerting, callbacks, channels, watch, watch_dag
from salesforce_history.alerts import recovery as recovery_module
from salesforce_history.alerts.alerting import tell
from salesforce_history.alerts.failure import tell_of_failure, tell_of_recovery
from salesforce_history.alerts.notices import tell_of_drift, tell_of_run_warnings, tell_of_warnings
from salesforce_history.alerts.watch_failed import tell_of_watch_failure
from salesforce_history.noting import note_failure
from salesforce_history.operators import CheckSourceOperator
from tests.receivers import Receivers, black_hole, mail_connection, slack_connection

USER = read_object_files()["user"]
DAG_ID = "sf_user_pipeline"
CHANNELS = ("sns", "slack", "email")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
FLOW = ("check_source", "extract", "validate", "upsert_raw", "take_turn", "dbt_scd2.int_sf_user_versions.test")


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """An empty lake behind the Airflow connection."""
    lake = tmp_path / "lake"
    (lake / "warehouse").mkdir(parents=True)
    iceberg = {"type": "sql", "uri": f"sqlite:///{lake}/catalog.db", "warehouse": f"file://{lake}/warehouse"}
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": iceberg}))
    monkeypatch.setenv("SF_HISTORY_LAKE", str(lake))
    return lake_folder(lake).open_catalog()


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


@pytest.fixture
def world(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> World:
    # What an earlier test's process has noted is not of this one's runs, which have the same ids.
    monkeypatch.setattr(noting, "_noted_here", {})
    return World(catalog)


def alert(kind: Kind, key: str = "k", **words: Any) -> Alert:
    told = {"headline": f"{kind} happened", "error": "why", "remedy": "Do this.", "links": {"runbook": "docs"}}
    common = {"environment": "local", "object": "User", "dag_id": DAG_ID, "run_id": "scheduled__1", "at": NOON}
    return Alert.model_validate({"kind": kind, "key": key, **told, **common, **words})


def dbt_failure(*tests: str) -> Exception:
    results = "\n".join(f"{test}: Got 2 results, configured to fail if != 0" for test in tests)
    return CosmosDbtRunError(f"dbt invocation completed with errors: {results}")


VERSIONS_TEST = FLOW[-1]
HALF_AN_HOUR = timedelta(minutes=31)
Case = Callable[[World, pytest.MonkeyPatch], object]


def failure(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))


def retry(world: World, patch: pytest.MonkeyPatch) -> None:
    world.task_fails(world.run(1), "extract", CredentialsRefused("once"))
    world.task_fails(world.run(1), "extract", CredentialsRefused("twice"))


def second_task(world: World, patch: pytest.MonkeyPatch) -> None:
    run = world.run(1)
    world.task_fails(run, "extract", CredentialsRefused("the cause"))
    world.task_fails(run, VERSIONS_TEST, dbt_failure("unique_version_of_user"))
    world.run_fails(run, task=VERSIONS_TEST)


def callback_twice(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    world.run_fails(world.run(1))


def cleared_and_failed_again(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    world.fails(world.run(1, attempt=1))


def recovery(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    world.run_succeeds(world.run(2))
    world.run_succeeds(world.run(3))


def recovery_by_clearing(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    world.run_succeeds(world.run(1, attempt=1))


def two_failures_one_recovery(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    world.fails(world.run(2))
    world.run_succeeds(world.run(3))


def success(world: World, patch: pytest.MonkeyPatch) -> None:
    world.run_succeeds(world.run(1))


def backfill_beside(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    world.run_succeeds(world.run(2, run_type="backfill"))
    world.run_succeeds(world.run(3, run_type="manual", since="2026-01-01"))


def backfill_fails(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1, run_type="backfill"))
    world.run_succeeds(world.run(2))


def _asks(world: World, **conf: Any) -> None:
    """It fails, and the next run succeeds; so does a later one that was asked for the same; then it is cleared."""
    world.fails(world.run(1, run_type="manual", **conf))
    world.run_succeeds(world.run(2))
    world.run_succeeds(world.run(3, run_type="manual", **conf))


def erasure_fails(world: World, patch: pytest.MonkeyPatch) -> None:
    _asks(world, erase=["0055e0000000001AAA"])


def replay_fails(world: World, patch: pytest.MonkeyPatch) -> None:
    _asks(world, replay_quarantine=True)


def full_refresh_fails(world: World, patch: pytest.MonkeyPatch) -> None:
    _asks(world, full_refresh=True)


def span_fails(world: World, patch: pytest.MonkeyPatch) -> None:
    _asks(world, since="2026-01-01T00:00:00Z", until="")


def span_fails_and_is_cleared(world: World, patch: pytest.MonkeyPatch) -> None:
    span_fails(world, patch)
    world.run_succeeds(world.run(1, run_type="manual", attempt=70, since="2026-01-01T00:00:00Z"))


def asked_for_nothing(world: World, patch: pytest.MonkeyPatch) -> None:
    """The form sends every Param, and another tool what it likes."""
    form = {"erase": [], "since": None, "until": "", "full_refresh": False, "replay_quarantine": False}
    world.fails(world.run(1, run_type="manual", **form, object="User", dry_run=True))
    world.run_succeeds(world.run(2, run_type="manual", **form, object="User", dry_run=True))


def made_good_by_asking_for_more(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    world.run_succeeds(world.run(2, run_type="manual", full_refresh=True, replay_quarantine=True, erase=["x"]))


def asked_for_and_unheard(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1, run_type="manual", full_refresh=True))
    _published(world, 2, kind="scheduled")
    world.watch(patch, after=timedelta(minutes=10))


def upkeep_of_one_object_fails(world: World, patch: pytest.MonkeyPatch) -> None:
    world.dag = _upkeep_dag()
    world.run_fails(world.run(1, object="user"), task="compact")
    world.run_succeeds(world.run(2))
    world.run_succeeds(world.run(3, object="user"))


def upkeep_that_did_less(world: World, patch: pytest.MonkeyPatch) -> None:
    world.dag = _upkeep_dag()
    world.run_fails(world.run(1), task="compact")
    for number, conf in enumerate(({"object": "user"}, {"tables": ["history"]}, {"dry_run": True}), start=2):
        world.run_succeeds(world.run(number, **conf))


def upkeep_made_good(world: World, patch: pytest.MonkeyPatch) -> None:
    upkeep_that_did_less(world, patch)
    world.run_succeeds(world.run(5, object=None, tables=[], dry_run=False))


def ended_before(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(2))
    world.run_succeeds(world.run(1))


def critical(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1), VERSIONS_TEST, dbt_failure("unique_user_id", "scd_integrity"))


def three_tests(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1), VERSIONS_TEST, dbt_failure("a", "b", "c"))


def four_tests(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1), VERSIONS_TEST, dbt_failure("a", "b", "c", "d"))


def timeout(world: World, patch: pytest.MonkeyPatch) -> None:
    world.run_fails(world.run(1), task="take_turn", reason="timed_out")


def killed(world: World, patch: pytest.MonkeyPatch) -> None:
    world.run_fails(world.run(1), task="upsert_raw")


def bare_context(world: World, patch: pytest.MonkeyPatch) -> None:
    tell_of_failure({"dag": world.dag, "run_id": "scheduled__1", "reason": "all_tasks_deadlocked"})  # type: ignore[typeddict-item]


def upkeep(world: World, patch: pytest.MonkeyPatch) -> None:
    world.dag = _upkeep_dag()
    world.run_fails(world.run(1), task="compact")


def _upkeep_dag() -> DAG:
    with DAG(dag_id="lakehouse_maintenance", schedule=None) as dag:
        EmptyOperator(task_id="compact")
    return dag


def _warns(world: World, *tests: str, run: int = 1) -> None:
    more = {"test_names": list(tests), "test_results": ["Got 7 results, configured to warn if != 0"] * len(tests)}
    tell_of_warnings(world.context(world.run(run), "dbt_scd2.stg_sf_user.test", **more))


def _ended(world: World, number: int, *warned: str) -> None:
    """A run published, and its row says which tests warned."""
    row = {"run_id": world.run(number).run_id, "object": "User", "environment": "local", "state": "success"}
    record_run(world.catalog, "sf_ops", {**row, "warned_tests": ", ".join(warned) or None})


def warning_goes_on(world: World, patch: pytest.MonkeyPatch) -> None:
    _warns(world, "accepted_division")
    _ended(world, 1, "accepted_division")
    _warns(world, "accepted_division", run=2)
    _ended(world, 2, "accepted_division")


def warning_comes_back(world: World, patch: pytest.MonkeyPatch) -> None:
    warning_goes_on(world, patch)
    _ended(world, 3)
    _warns(world, "accepted_division", run=4)


def another_warning_joins(world: World, patch: pytest.MonkeyPatch) -> None:
    warning_goes_on(world, patch)
    _warns(world, "accepted_division", "accepted_phase", run=3)


def warnings_of_a_watched_build(world: World, patch: pytest.MonkeyPatch) -> None:
    run = world.run(1)
    for _ in range(2):
        tell_of_run_warnings(world.context(run, "publish_metrics"), ["accepted_division"])
    tell_of_run_warnings(world.context(world.run(2), "publish_metrics"), [])


def warning(world: World, patch: pytest.MonkeyPatch) -> None:
    _warns(world, "accepted_division")
    _warns(world, "accepted_division")


def four_warnings(world: World, patch: pytest.MonkeyPatch) -> None:
    _warns(world, "a", "b", "c", "d")
    world.run_succeeds(world.run(2))
    world.watch(patch, after=HALF_AN_HOUR)


def drift(world: World, patch: pytest.MonkeyPatch) -> None:
    for sentences in ((), ("User has fields that it did not have before: Team__c (picklist).",)):
        tell_of_drift(world.context(world.run(1), "check_source"), USER, sentences)


def unresolved(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    for minutes in (29, 31, 36, 90):
        world.watch(patch, after=timedelta(minutes=minutes))


def at_work_again(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    world.watch(patch, after=HALF_AN_HOUR, states={"scheduled__1": "running"})


def succeeded_unheard(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    for _ in range(2):
        world.watch(patch, after=HALF_AN_HOUR, states={"scheduled__1": "success"})


def next_one_unheard(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    _published(world, 2, kind="scheduled")
    world.watch(patch, after=HALF_AN_HOUR)


def read_on_request_unheard(world: World, patch: pytest.MonkeyPatch) -> None:
    world.fails(world.run(1))
    _published(world, 2, kind="manual")
    _published(world, 3, kind="backfill")
    world.watch(patch, after=timedelta(minutes=10))


def _published(world: World, number: int, *, kind: str) -> None:
    row = {"run_id": f"{kind}__{number}", "object": "User", "environment": "local", "state": "success", "kind": kind}
    record_run(world.catalog, "sf_ops", row)


def teller_died(world: World, patch: pytest.MonkeyPatch) -> None:
    claim(world.catalog, "sf_ops", alert("run_failed"), at=datetime.now(UTC))
    for minutes in (4, 6, 11):
        world.watch(patch, after=timedelta(minutes=minutes))


def sla_met(world: World, patch: pytest.MonkeyPatch) -> None:
    """Nobody calls `tell`: that a deadline passed in time is decided before (tests of the SLAs)."""


def sla_missed(world: World, patch: pytest.MonkeyPatch) -> None:
    tell(alert("sla_missed", tasks=("extract is unfinished, 4 min late",)), object_file=USER)


def sla_escalated(world: World, patch: pytest.MonkeyPatch) -> None:
    tell(alert("sla_missed"), object_file=USER)
    tell(alert("sla_still_missed", "k/again"), object_file=USER)


def anomaly(world: World, patch: pytest.MonkeyPatch) -> None:
    tell(alert("anomaly", error="RecordCount is 3,000, outside 4,000 to 6,000"), object_file=USER)


def same_key(world: World, patch: pytest.MonkeyPatch) -> None:
    assert [tell(alert("anomaly"), object_file=USER) for _ in range(3)] == [True, False, False]


def watch_fails(world: World, patch: pytest.MonkeyPatch) -> None:
    """Twice; then it succeeds, fails again on that day, and goes on failing after midnight."""
    _watch_fails(world, 1, before=None)
    _watch_fails(world, 2, before=1)
    _watch_fails(world, 4, before=None)
    _watch_fails(world, 13, before=11)
    _watch_fails(world, 14, before=13)


def _watch_fails(world: World, number: int, *, before: int | None) -> None:
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


#: Case, and the kinds that each channel gets, in order.
TABLE: list[tuple[Case, list[Kind]]] = [
    (failure, ["run_failed"]),
    (retry, []),
    (second_task, ["run_failed"]),
    (callback_twice, ["run_failed"]),
    (cleared_and_failed_again, ["run_failed", "run_failed"]),
    (recovery, ["run_failed", "run_recovered"]),
    (recovery_by_clearing, ["run_failed", "run_recovered"]),
    (two_failures_one_recovery, ["run_failed", "run_failed", "run_recovered"]),
    (success, []),
    (backfill_beside, ["run_failed"]),
    (backfill_fails, ["run_failed"]),
    (erasure_fails, ["run_failed"]),
    (replay_fails, ["run_failed"]),
    (full_refresh_fails, ["run_failed"]),
    (span_fails, ["run_failed"]),
    (span_fails_and_is_cleared, ["run_failed", "run_recovered"]),
    (asked_for_nothing, ["run_failed", "run_recovered"]),
    (made_good_by_asking_for_more, ["run_failed", "run_recovered"]),
    (asked_for_and_unheard, ["run_failed"]),
    (read_on_request_unheard, ["run_failed"]),
    (upkeep_of_one_object_fails, ["upkeep_failed"]),
    (upkeep_that_did_less, ["upkeep_failed"]),
    (upkeep_made_good, ["upkeep_failed", "run_recovered"]),
    (ended_before, ["run_failed"]),
    (critical, ["critical_test_failed"]),
    (three_tests, ["run_failed"]),
    (four_tests, ["tests_failed"]),
    (timeout, ["run_timed_out"]),
    (killed, ["run_failed"]),
    (bare_context, ["run_failed"]),
    (upkeep, ["upkeep_failed"]),
    (warning, ["data_warning"]),
    (warning_goes_on, ["data_warning"]),
    (warning_comes_back, ["data_warning", "data_warning"]),
    (another_warning_joins, ["data_warning", "data_warning"]),
    (warnings_of_a_watched_build, ["data_warning"]),
    (four_warnings, ["data_warning", "tests_failed"]),
    (drift, ["schema_drift"]),
    (unresolved, ["run_failed", "failure_unresolved"]),
    (at_work_again, ["run_failed"]),
    (succeeded_unheard, ["run_failed", "run_recovered"]),
    (next_one_unheard, ["run_failed", "run_recovered"]),
    (teller_died, ["run_failed"]),
    (sla_met, []),
    (sla_missed, ["sla_missed"]),
    (sla_escalated, ["sla_missed", "sla_still_missed"]),
    (anomaly, ["anomaly"]),
    (same_key, ["anomaly"]),
    (watch_fails, ["watch_failed", "watch_failed"]),
]
#: A missed SLA goes to SNS, unless the object file says otherwise.
SLA = {"sla_missed", "sla_still_missed"}


@pytest.mark.parametrize(("case", "kinds"), TABLE, ids=[case.__name__ for case, _ in TABLE])
def test_each_channel_gets_it_once_or_is_silent(
    case: Case, kinds: list[Kind], world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    case(world, monkeypatch)
    got = receivers.all()
    told = [one.raw["MessageAttributes"]["kind"]["Value"] for one in got["sns"]]
    assert sorted(told) == sorted(kinds)  # a queue keeps no order
    subjects = [record.subject for record in sorted(world.alerts(), key=lambda record: record.opened_at)]
    for channel in ("slack", "email"):
        expected = [one for one, kind in zip(subjects, kinds, strict=True) if kind not in SLA]
        assert [one.subject for one in got[channel]] == expected, channel
    assert sorted(one.subject for one in got["sns"]) == sorted(subjects)
    assert [record.kind for record in world.alerts()] == kinds
    for record in world.alerts():
        assert record.told_at is not None
        assert record.channels == ("sns" if record.kind in SLA else "sns, slack, email")


@pytest.fixture
def unreadable(world: World) -> str:
    """The key of a failure that a later release has written, with a field that this one does not know."""
    key = "sf_user_pipeline/scheduled__0/failed/"
    claim(world.catalog, "sf_ops", alert("run_failed", key, run_id="scheduled__0"), at=datetime.now(UTC))
    alert_log._change(
        world.catalog, "sf_ops", [key], lambda row: {"alert": json.dumps({**json.loads(row["alert"]), "new": 1})}
    )
    return key


def test_a_row_that_cannot_be_read_does_not_hide_a_recovery(
    unreadable: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    recovery(world, pytest.MonkeyPatch())
    assert [record.kind for record in world.alerts()] == ["run_failed", "run_failed", "run_recovered"]
    assert [record.key for record in open_failures(world.catalog, "sf_ops")] == [unreadable]
    assert f"the alert {unreadable} in sf_ops.alerts cannot be read and is left alone" in caplog.text


def test_a_row_that_cannot_be_read_stops_no_step_of_the_watch(
    unreadable: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(world.catalog, "sf_ops", alert("anomaly", "died"), at=datetime.now(UTC))
    world.fails(world.run(1))
    world.fails(world.run(2))
    world.watch(monkeypatch, after=HALF_AN_HOUR, states={"scheduled__2": "success"})
    told = {record.key: record.told_at for record in world.alerts()}
    assert told[unreadable] is None
    assert told["died"] is not None
    kinds = [record.kind for record in world.alerts()]
    assert kinds == ["run_failed", "anomaly", "run_failed", "run_failed", "run_recovered", "failure_unresolved"]


@pytest.mark.parametrize("broken", ["send_untold", "resolve_what_is_over", "escalate"])
def test_a_step_of_the_watch_that_fails_holds_up_no_other_and_fails_the_task(
    broken: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def step(name: str) -> Callable[..., int]:
        def work(*_: Any, **__: Any) -> int:
            done.append(name)
            if name == broken:
                raise ConnectionError("the catalog does not answer")
            return 0

        return work

    steps = ["send_untold", "resolve_what_is_over", "escalate"]
    for name in steps:
        monkeypatch.setattr(watch, name, step(name))
    with pytest.raises(ConnectionError):
        watch_dag.WatchOperator(task_id="look").execute(world.context(world.run(1), "look"))
    assert done == steps
    assert noting.noted_here(DAG_ID, "scheduled__1")["look"].error == "ConnectionError"


def test_the_watch_tells_of_its_own_failure(world: World) -> None:
    (dag,) = watch_dag.build_watch().values()
    assert dag.on_failure_callback is callbacks.tell_of_watch_failure
    _watch_fails(world, 1, before=None)
    (record,) = world.alerts()
    assert record.key == "sf_history_watch/2026-01-05"
    assert record.subject == "[local] the watch failed: ConnectionError"
    assert "What: ConnectionError: the catalog does not answer" in record.text


def test_the_watch_does_not_tell_every_five_minutes_of_a_lake_that_is_down(
    receivers: Receivers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = {"type": "sql", "uri": f"sqlite:///{tmp_path}/nowhere/catalog.db", "warehouse": f"file://{tmp_path}"}
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": gone}))
    nowhere = World.__new__(World)
    nowhere.dag = flow()
    _watch_fails(nowhere, 1, before=None)
    _watch_fails(nowhere, 2, before=1)
    assert {name: len(found) for name, found in receivers.all().items()} == dict.fromkeys(CHANNELS, 1)


def test_a_run_that_timed_out_names_what_was_unfinished_not_what_failed_before(world: World) -> None:
    run = world.run(1)
    world.task_fails(run, "validate", CredentialsRefused("made good since"))
    world.run_fails(run, task="take_turn", reason="timed_out")
    (record,) = world.alerts()
    assert record.subject == "[local] User: the run was ended after too long, at take_turn"
    assert "\nTasks: take_turn\n" in record.text
    assert "/tasks/take_turn" in record.text
    assert "Then clear take_turn: what follows it runs again." in record.text
    assert "CredentialsRefused" not in record.text
    assert "made good since" not in record.text


@pytest.mark.parametrize(
    ("task", "of"),
    [
        ("dbt_scd2.stg_sf_user.test", "stg_sf_user"),
        ("dbt_scd2.dim_sf_user_agrees_with_snapshot_test", "dim_sf_user_agrees_with_snapshot_test"),
        ("test_all", "test_all"),
    ],
)
def test_a_warning_names_the_model_or_the_test_of_several(task: str, of: str, world: World) -> None:
    more = {"test_names": ["a"], "test_results": ["Got 7 results, configured to warn if != 0"]}
    tell_of_warnings(world.context(world.run(1), task, **more))
    (record,) = world.alerts()
    assert record.subject == f"[local] User: 1 test of {of} warned"
    assert record.key.endswith(f"/warning/{of}")


def test_what_a_callback_may_wait_for_stays_below_what_airflow_gives_it() -> None:
    sending = alerting._CLAIM_SECONDS + len(CHANNELS) * channels.SECONDS + alerting._RECORD_SECONDS
    assert recovery_module._LAKE_SECONDS + sending < 50


def test_a_lake_that_hangs_does_not_hold_up_the_end_of_a_run(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    never = threading.Event()
    monkeypatch.setattr(recovery_module, "_LAKE_SECONDS", 0.05)
    monkeypatch.setattr(recovery_module, "open_failures", lambda *_, **__: never.wait(30) or [])
    world.run_succeeds(world.run(1))
    never.set()
    assert "GaveUpWaiting: no answer within 0.05 s" in caplog.text


def test_the_table_has_every_kind() -> None:
    assert {kind for _, kinds in TABLE for kind in kinds} == set(KINDS)


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_failure_says_what_lets_a_person_act(channel: str, world: World, receivers: Receivers) -> None:
    run = world.run(1)
    row = {"rows_extracted": 1200, "observations_logged": 34, "failed_tasks": "extract", "state": "failed"}
    record_run(world.catalog, "sf_ops", {"run_id": run.run_id, "object": "User", "environment": "local", **row})
    world.fails(run, problem=CredentialsRefused("logging in: <b>no</b> & {{ ti }} {% raise %}."))
    (got,) = receivers.all()[channel]
    text = got.text
    if channel == "email":
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert "<b>no</b>" not in got.text
    if channel == "slack":
        assert "&lt;b&gt;no&lt;/b&gt; &amp; {{" in text
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert got.subject == "[local] User: extract failed: CredentialsRefused"
    for part in (
        "What: CredentialsRefused: logging in: <b>no</b> & {{ ti }} {% raise %}.",
        "Tasks: extract",
        "Interval: 2026-01-05 07:00 to 2026-01-05 13:00 UTC",
        "At stake: 1,200 records read, 34 changes logged. Not published: readers of dim_sf_user_scd",
        "Do: Check the Airflow connection",
        "Then clear extract: what follows it runs again.",
        "/dags/sf_user_pipeline/runs/scheduled__1/tasks/extract",
        "docs/runbook.md#credentialsrefused",
    ):
        assert part in text, text


def test_a_failure_says_what_was_asked_for_and_that_no_later_run_does_it(world: World, receivers: Receivers) -> None:
    conf = {"erase": ["0055e0000000001AAA"], "since": "2026-01-01T00:00:00Z", "full_refresh": False}
    world.fails(world.run(1, run_type="manual", **conf))
    world.fails(world.run(2, run_type="backfill"))
    asked, backfill = (one.text for one in receivers.all()["slack"])
    said = "No later run does that: clear this run, or ask again."
    assert f"\nAsked for: erase, since 2026-01-01T00:00:00Z. {said}\n" in asked
    assert "0055e0000000001AAA" not in asked
    assert f"\nAsked for: a backfill. {said}\n" in backfill


def test_the_cause_is_the_first_task_never_what_came_of_it(world: World, receivers: Receivers) -> None:
    class HistoryNotPublished(Exception):
        pass

    run = world.run(1)
    world.task_fails(run, "validate", CredentialsRefused("the cause"))
    world.task_fails(run, "publish_metrics", HistoryNotPublished("User: validate failed"))
    world.run_fails(run, task="publish_metrics")
    (got,) = receivers.all()["sns"]
    assert got.subject == "[local] User: validate failed: CredentialsRefused"
    assert "HistoryNotPublished" not in got.text
    assert "\nTasks: validate\n" in got.text


def test_a_task_that_was_killed_says_that_nobody_knows_why(world: World, receivers: Receivers) -> None:
    killed(world, pytest.MonkeyPatch())
    (got,) = receivers.all()["sns"]
    assert "upsert_raw ended without saying why (its worker was lost or killed): see its log." in got.text
    assert RUNBOOK["run_failed"] in got.text


def test_the_escalation_repeats_what_to_do(world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch) -> None:
    unresolved(world, monkeypatch)
    _, got = receivers.all()["slack"]
    assert got.subject == "[local] User: unresolved for 31 minutes: extract failed: CredentialsRefused"
    assert "Do: Check the Airflow connection" in got.text
    (record,) = open_failures(world.catalog, "sf_ops")
    assert record.escalated_at is not None


def test_a_recovery_names_the_run_and_closes_all(world: World, receivers: Receivers) -> None:
    two_failures_one_recovery(world, pytest.MonkeyPatch())
    got = receivers.all()["email"][-1]
    assert "scheduled__1, scheduled__2" in got.text
    assert open_failures(world.catalog, "sf_ops") == []
    assert [record.resolved_by for record in world.alerts()] == ["scheduled__3", "scheduled__3", None]


def _broken(channel: str, receivers: Receivers, patch: pytest.MonkeyPatch) -> None:
    if channel == "sns":
        patch.setenv("SF_HISTORY_SNS_TOPIC_ARN", f"{receivers.topic_arn}-gone")
    elif channel == "slack":
        receivers.webhook.status = 403
    else:
        patch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mail_connection(1))


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_broken_channel_hides_no_other_and_is_recorded(
    channel: str,
    world: World,
    receivers: Receivers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    _broken(channel, receivers, monkeypatch)
    world.fails(world.run(1))
    got = receivers.all()
    assert {name: len(found) for name, found in got.items()} == {name: int(name != channel) for name in CHANNELS}
    (record,) = world.alerts()
    assert record.failed_channels is not None
    assert record.failed_channels.startswith(f"{channel}: ")
    assert "\n" not in record.failed_channels
    assert record.channels == ", ".join(name for name in CHANNELS if name != channel)
    assert f"did not go out by {channel}" in caplog.text


def test_a_channel_that_is_silent_holds_up_neither_the_run_nor_the_others(
    world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salesforce_history.alerts.channels.SECONDS", 1.0)
    with black_hole() as port:
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_ONCALL", slack_connection(f"http://127.0.0.1:{port}"))
        world.fails(world.run(1))
    got = receivers.all()
    assert {name: len(found) for name, found in got.items()} == {"sns": 1, "slack": 0, "email": 1}
    assert world.alerts()[0].failed_channels == "slack: GaveUpWaiting: no answer within 1 s"


def test_a_connection_that_is_missing_is_named(
    world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SLACK_ONCALL")
    world.fails(world.run(1))
    assert world.alerts()[0].failed_channels == "slack: there is no Airflow connection slack_oncall"


def test_what_reached_nobody_is_sent_again_until_it_does(
    world: World, receivers: Receivers, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for channel in CHANNELS:
            _broken(channel, receivers, patch)
        world.fails(world.run(1))
        assert (world.alerts()[0].told_at, world.alerts()[0].attempts) == (None, 1)
    receivers.webhook.status = 200
    for minutes in (6, 11):
        world.watch(monkeypatch, after=timedelta(minutes=minutes))
    assert {name: len(found) for name, found in receivers.all().items()} == dict.fromkeys(CHANNELS, 1)
    assert (world.alerts()[0].channels, world.alerts()[0].attempts) == ("sns, slack, email", 2)


def test_a_lake_that_cannot_be_reached_does_not_hide_its_own_failure(
    receivers: Receivers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = {"type": "sql", "uri": f"sqlite:///{tmp_path}/nowhere/catalog.db", "warehouse": f"file://{tmp_path}"}
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": gone}))
    assert tell(alert("run_failed"), object_file=USER)
    assert {name: len(found) for name, found in receivers.all().items()} == dict.fromkeys(CHANNELS, 1)
    assert "is sent without having been recorded" in caplog.text


def test_a_laptop_without_addresses_records_and_logs(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.fails(world.run(1))
    (record,) = world.alerts()
    assert (record.channels, record.failed_channels) == ("log", None)
    assert "[local] User: extract failed: CredentialsRefused" in caplog.text


def test_an_object_chooses_its_channels_and_addresses(world: World, receivers: Receivers) -> None:
    chosen = ObjectFile.model_validate(
        {**USER.model_dump(), "alerts": {"channels": ["email"], "email_to": ["a@example.com", "b@example.com"]}}
    )
    tell(alert("anomaly"), object_file=chosen)
    got = receivers.all()
    assert {name: len(found) for name, found in got.items()} == {"sns": 0, "slack": 0, "email": 1}
    assert got["email"][0].raw["To"] == "a@example.com, b@example.com"


def test_check_source_tells_what_its_plan_found(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ReadPlan.model_construct(drift=("User has fields that it did not have before: Team__c (picklist).",))
    monkeypatch.setattr(Flow, "check_source", lambda *_, **__: plan)
    monkeypatch.setattr("salesforce_history.operators._reserved_client", lambda _: None)
    run = world.run(1)
    context = {**world.context(run, "check_source"), "params": {"since": None, "until": None, "full_refresh": False}}
    run.run_after, run.logical_date = run.data_interval_end, run.data_interval_end
    CheckSourceOperator(task_id="check_source", object_file=USER).execute(context)  # type: ignore[arg-type]
    (record,) = world.alerts()
    assert (record.kind, record.run_id) == ("schema_drift", "scheduled__1")
    assert "Team__c" in record.text


def test_a_text_too_long_for_sns_is_cut_and_goes_out(world: World, receivers: Receivers) -> None:
    tell(alert("anomaly", error="é€😀\n" * 100_000), object_file=USER)
    got = receivers.all()
    assert [len(found) for found in got.values()] == [1, 1, 1]
    assert got["sns"][0].text.endswith("\n(cut)")
    assert len(json.dumps({"default": got["sns"][0].text})) <= 262_144
    assert got["slack"][0].text.endswith("\n(cut)")


def test_a_run_that_timed_out_has_its_row(world: World) -> None:
    run = world.run(1)
    world.run_fails(run, task="take_turn", reason="timed_out")
    row = read_run(world.catalog, "sf_ops", run_id=run.run_id, object_name="User")
    assert row is not None
    assert (row["state"], row["failed_tasks"], row["environment"]) == ("failed", "take_turn", "local")
    assert "longer than dagrun_timeout" in row["error"]
    record_run(world.catalog, "sf_ops", {**row, "rows_extracted": 7})
    world.run_fails(run, task="take_turn", reason="timed_out")
    again = read_run(world.catalog, "sf_ops", run_id=run.run_id, object_name="User")
    assert again is not None
    assert again["rows_extracted"] == 7, "what the run itself has recorded stays"
