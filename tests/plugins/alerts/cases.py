"""Every case in which a channel is told, or is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from include.alerts.alert import Kind
from include.lake.alert_log import claim
from include.lake.run_log import record_run
from include.salesforce.errors import CredentialsRefused
from salesforce_history.alerts.alerting import tell
from salesforce_history.alerts.failure import tell_of_failure
from salesforce_history.alerts.notices import tell_of_drift, tell_of_run_warnings, tell_of_warnings
from tests.plugins.alerts.world import FLOW, USER, World, alert, dbt_failure, watch_run_fails

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
    watch_run_fails(world, 1, before=None)
    watch_run_fails(world, 2, before=1)
    watch_run_fails(world, 4, before=None)
    watch_run_fails(world, 13, before=11)
    watch_run_fails(world, 14, before=13)


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
