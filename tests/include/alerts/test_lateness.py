"""Which deadlines are told of, which stay silent, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.alerts.alert import Alert
from include.alerts.lateness import LateRun, States, Watch, lateness, unfinished

QUEUED = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)
TASKS = ("check_source", "extract", "validate", "upsert_raw", "take_turn", "dbt.stg.run", "dbt.dim.run", "dbt.dim.test",
         "rebuild_history", "publish_metrics")  # fmt: skip
GROUPS = {
    "run": list(TASKS),
    "extract": ["check_source", "extract", "validate"],
    "upsert": ["upsert_raw"],
    "stg": ["take_turn", "dbt.stg.run"],
    "dim": ["take_turn", "dbt.dim.run", "dbt.dim.test"],
}


def watch(*names: str, escalate: int = 0) -> Watch:
    groups = {name: GROUPS[name] for name in names}
    return Watch(
        noun="user", sla_seconds=900, escalate_seconds=escalate, groups=groups, rebuild_task="rebuild_history",
        models="dbt.",
    )  # fmt: skip


def states(done: int, then: str | None = None, **others: str | None) -> dict[str, str | None]:
    """The first tasks have succeeded, the next one is in a state, the others have not begun."""
    found: dict[str, str | None] = dict.fromkeys(TASKS)
    found |= dict.fromkeys(TASKS[:done], "success")
    if then:
        found[TASKS[done]] = then
    return found | {name.replace("__", "."): state for name, state in others.items()}


def told(watched: Watch, found: States, *, late: float = 6, **run: Any) -> Alert | None:
    facts = {"dag_id": "sf_user_pipeline", "run_id": "r1", "run_type": "scheduled", "goes_on": True, **run}
    return lateness(
        watched,
        LateRun(queued_at=QUEUED, **facts),
        found,
        now=QUEUED + timedelta(seconds=watched.sla_seconds + watched.escalate_seconds + late),
        environment="production",
        object_name="User",
        links={"run": "https://af/run", "runbook": "docs/runbook.md#alert-sla-missed"},
        log_link="https://af/run/tasks/{}".format,
    )


FAILED_MODEL = {"take_turn": "success", "dbt__stg__run": "success", "dbt__dim__run": "failed"}
FAILED_MODEL_TESTED = {**FAILED_MODEL, "dbt__dim__test": "upstream_failed"}

#: what → group, states of the run, the unfinished tasks of the group; none: silent.
CASES: dict[str, tuple[str, States, dict[str, str | None]]] = {
    "a task that never ends": ("extract", states(1, "running"), {"extract": "running", "validate": None}),
    "a task that is queued and never starts": (
        "extract", states(0, "queued"), {"check_source": "queued", "extract": None, "validate": None}),
    "a task that no slot is free for": ("upsert", states(3, "scheduled"), {"upsert_raw": "scheduled"}),
    "a task that waits for API requests": ("extract", states(1, "deferred"), {"extract": "deferred", "validate": None}),
    "a task between two attempts": ("upsert", states(3, "up_for_retry"), {"upsert_raw": "up_for_retry"}),
    "a task that was cleared": ("upsert", states(3, "restarting"), {"upsert_raw": "restarting"}),
    "a run that is queued and never starts": ("upsert", states(0), {"upsert_raw": None}),
    "a run whose tasks Airflow does not know": ("upsert", {}, {"upsert_raw": None}),
    "the group is done": ("extract", states(3, "running"), {}),
    "the group is done, some of it skipped": ("extract", states(3) | {"validate": "skipped"}, {}),
    "the group is done, a later one is not": ("upsert", states(4, "deferred"), {}),
    "another run is at the history": ("stg", states(4, "deferred"), {"take_turn": "deferred", "dbt.stg.run": None}),
    "a model is done, its test is not": ("dim", states(7, "running"), {"dbt.dim.test": "running"}),
    "a model is done, another one is not": ("stg", states(6, "running"), {}),
    "the group failed, its failure is told": ("extract", states(1, "failed", validate="upstream_failed"), {}),
    "what comes before the group failed": (
        "stg", states(1, "failed", **dict.fromkeys(["take_turn", "dbt__stg__run"], "upstream_failed"),
                      rebuild_history="running"), {}),
    "a model failed and is being made good": (
        "dim", states(4, **FAILED_MODEL_TESTED, rebuild_history="running"), {"rebuild_history": "running"}),
    "a model failed and waits to be made good": (
        "dim", states(4, **FAILED_MODEL_TESTED), {"rebuild_history": None}),
    "a model failed, another one was done before": ("stg", states(4, **FAILED_MODEL, rebuild_history="running"), {}),
    "a model failed and was made good": (
        "dim", states(4, **FAILED_MODEL_TESTED, rebuild_history="success", publish_metrics="running"), {}),
    "a model failed for good": ("dim", states(4, **FAILED_MODEL_TESTED, rebuild_history="failed"), {}),
    "a model failed and its rebuild is late for the run": (
        "run", states(4, **FAILED_MODEL_TESTED, rebuild_history="running"),
        {"rebuild_history": "running", "publish_metrics": None}),
    "the last task of the run hangs": (
        "run", states(9, "running", rebuild_history="skipped"), {"publish_metrics": "running"}),
    "a task that the DAG has no more": ("upsert", states(3, "removed"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("escalate", [0, 1800], ids=["SLA", "escalation"])
def test_what_is_unfinished_is_told_of_and_nothing_else(name: str, escalate: int) -> None:
    group, found, expected = CASES[name]
    watched = watch(group, escalate=escalate)
    assert unfinished(watched, group, found) == expected
    alert = told(watched, found)
    assert (alert is not None) == bool(expected)
    if alert is not None:
        assert alert.kind == ("sla_still_missed" if escalate else "sla_missed")
        assert alert.key == f"{alert.kind}/sf_user_pipeline/r1/{900 + escalate}"
        assert all(task in alert.tasks[0] for task in expected)


@pytest.mark.parametrize(
    "run",
    [{"goes_on": False}, {"run_type": "backfill"}, {"run_type": "backfill", "goes_on": False}],
    ids=["a run that has failed, ended or been deleted", "a backfill", "a backfill that has failed"],
)
@pytest.mark.parametrize("escalate", [0, 1800], ids=["SLA", "escalation"])
def test_runs_that_nobody_waits_for_stay_silent(run: dict[str, Any], escalate: int) -> None:
    assert told(watch("run", escalate=escalate), states(1, "running"), **run) is None
    assert told(watch("run", escalate=escalate), states(1, "running")) is not None


def test_the_words_of_a_missed_sla() -> None:
    alert = told(watch("extract"), states(1, "running"))
    assert alert is not None
    assert alert.subject == "[production] User: SLA missed: extract unfinished 15 min after the run was queued"
    assert alert.error == "6 s late. The run is at extract (running)."
    assert alert.tasks == ("extract: extract (running), validate (not started)",)
    assert alert.remedy == (
        "Open the log of extract: if nothing moves there, clear it. It starts again; the outcome is the same."
    )
    assert alert.links["log"] == "https://af/run/tasks/extract"


def test_the_words_of_an_escalation() -> None:
    alert = told(watch("upsert", escalate=1800), states(0))
    assert alert is not None
    assert alert.headline == "SLA still missed: upsert unfinished 45 min 6 s after the run was queued"
    assert alert.error == "30 min 6 s late. The run has not started."
    assert alert.remedy.startswith("No task has begun: see whether another run of this DAG goes on")
    assert "log" not in alert.links


def test_groups_with_one_deadline_share_a_message_that_names_those_that_are_late() -> None:
    alert = told(watch("extract", "stg", "dim"), states(4, "deferred"))
    assert alert is not None
    assert alert.tasks == (
        "before all of them: take_turn (waiting)",
        "stg: dbt.stg.run (not started)",
        "dim: dbt.dim.run (not started), dbt.dim.test (not started)",
    )


def test_what_several_groups_wait_for_is_named_once() -> None:
    watched = watch("extract", "stg", "dim").model_copy(update={"groups": {**GROUPS, "other": ["take_turn", "dbt.x"]}})
    alert = told(
        watched.model_copy(update={"groups": {k: v for k, v in watched.groups.items() if k != "run"}}), states(2)
    )
    assert alert is not None
    assert alert.tasks[0] == "before 3 of them: take_turn (not started)"
    assert alert.tasks[1] == "extract: validate (not started)"
    assert alert.tasks[-1] == "other: dbt.x (not started)"
    assert alert.subject == (
        "[production] User: SLA missed: extract, upsert and 3 more unfinished 15 min after the run was queued"
    )


def test_a_run_between_two_tasks_points_at_the_scheduler() -> None:
    alert = told(watch("run"), states(3))
    assert alert is not None
    assert alert.error == "6 s late. No task is running or queued."
    assert "see whether the scheduler is alive" in alert.remedy


def test_a_long_run_names_what_has_begun_and_counts_the_rest() -> None:
    alert = told(watch("run"), states(0, "running"))
    assert alert is not None
    assert alert.tasks == (
        "run: check_source (running), extract (not started), validate (not started), upsert_raw (not started), "
        "take_turn (not started), dbt.stg.run (not started), and 4 more (not started)",
    )


def test_a_deadline_of_a_later_release_is_understood() -> None:
    fields = watch("run").model_dump(mode="json")
    assert Watch.model_validate({**fields, "something_new": 1}) == watch("run")
