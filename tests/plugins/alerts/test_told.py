"""What an alert says, and what is on record of the run."""

from __future__ import annotations

import pytest

from include.alerts.alert import RUNBOOK
from include.flow import Flow
from include.lake.alert_log import open_failures
from include.lake.run_log import read_run, record_run
from include.salesforce.errors import CredentialsRefused
from include.staging.manifest import ReadPlan
from salesforce_history.alerts.notices import tell_of_warnings
from salesforce_history.operators import CheckSourceOperator
from tests.plugins.alerts.cases import killed, two_failures_one_recovery, unresolved
from tests.plugins.alerts.world import CHANNELS, USER, World
from tests.receivers import Receivers


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
