"""The upkeep's DAG: in whose turn, by which engine, and what a person may ask for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import TriggerRule
from airflow.sdk.exceptions import TaskDeferred

from include.config.environment import current_environment
from include.config.operating import TableUpkeep
from include.lake.holder import run_of_holder, upkeep_holder
from include.lake.turn import give_back_turn, take_turn, who_has_the_turn
from include.upkeep.statements import athena_statements, trino_statements
from salesforce_history import run_ended
from salesforce_history.engines import UpkeepRefused, ask_athena
from salesforce_history.params import ParamRefused
from salesforce_history.upkeep import build_upkeep
from salesforce_history.upkeep_request import UpkeepRequest, upkeep_request
from tests.include.upkeep.conftest import lake, user_object

__all__ = ["lake", "user_object"]

KEEP = TableUpkeep(keep_history=timedelta(days=7), keep_snapshots=10)
ATHENA = current_environment({"SF_HISTORY_ENV": "production", "SF_HISTORY_ATHENA_WORKGROUP": "upkeep"})


class Athena:
    """An Athena that records what it is asked, and answers as it was told to."""

    def __init__(self, *reasons: str | None) -> None:
        self.reasons = list(reasons)
        self.asked: list[dict[str, Any]] = []

    def run_query(self, query: str, **settings: Any) -> str:
        self.asked.append({"query": query, **settings})
        return str(len(self.asked))

    def poll_query_status(self, query: str, **_: Any) -> str:
        return "SUCCEEDED" if self._reason(query) is None else "FAILED"

    def get_state_change_reason(self, query: str) -> str | None:
        return self._reason(query)

    def _reason(self, query: str) -> str | None:
        return self.reasons[int(query) - 1] if int(query) <= len(self.reasons) else None


def test_what_athena_is_asked() -> None:
    assert athena_statements("sf_raw_prod.sf_user", KEEP) == (
        "ALTER TABLE sf_raw_prod.sf_user SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds'='604800', "
        "'vacuum_min_snapshots_to_keep'='10')",
        "OPTIMIZE sf_raw_prod.sf_user REWRITE DATA USING BIN_PACK",
        "VACUUM sf_raw_prod.sf_user",
    )


def test_athena_removes_no_file_of_a_run_that_may_be_going_on() -> None:
    keep = TableUpkeep(keep_history=timedelta(hours=1))
    assert "'vacuum_max_snapshot_age_seconds'='172800'" in athena_statements("n.t", keep)[0]


def test_what_trino_is_asked() -> None:
    assert trino_statements("sf_raw.sf_user", KEEP, orphans_after=timedelta(days=9)) == (
        "ALTER TABLE sf_raw.sf_user EXECUTE optimize",
        "ALTER TABLE sf_raw.sf_user EXECUTE expire_snapshots(retention_threshold => '604800s')",
        "ALTER TABLE sf_raw.sf_user EXECUTE remove_orphan_files(retention_threshold => '777600s')",
    )


@pytest.mark.parametrize("name", ["t", "a.b.c", "n.t; drop table x", "n.T", 'n."t"', "n.t\n", ""])
def test_a_name_that_is_none_is_never_asked_about(name: str) -> None:
    for statements in (athena_statements, lambda *one: trino_statements(*one, orphans_after=timedelta(days=3))):
        with pytest.raises(ValueError, match="is not a table's name"):
            statements(name, KEEP)


def test_athena_is_asked_until_it_has_no_more_to_do() -> None:
    more = "ICEBERG_VACUUM_MORE_RUNS_NEEDED: Removed 20000 files in this round of vacuum, but there are more."
    athena: Any = Athena(more, more, None)
    assert ask_athena(athena, "VACUUM n.t", "n.t", ATHENA) == 3
    assert athena.asked[0] == {
        "query": "VACUUM n.t",
        "query_context": {"Database": "n"},
        "result_configuration": {"OutputLocation": "s3://lumata-lakehouse-prod-athena-results/queries"},
        "workgroup": "upkeep",
    }


def test_what_athena_refuses_is_told_with_its_reason() -> None:
    athena: Any = Athena("ICEBERG_COMMIT_ERROR: Failed to commit")
    with pytest.raises(UpkeepRefused, match=r"n.t: Athena did not finish `VACUUM n.t`: ICEBERG_COMMIT_ERROR: Failed"):
        ask_athena(athena, "VACUUM n.t", "n.t", ATHENA)
    assert len(athena.asked) == 1


def test_the_turn_says_whose_it_is(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run([lake.record("01", 1)], end=6)
    holder = upkeep_holder("scheduled__2026-01-10T03:30:00+00:00")
    asked: list[tuple[str, str]] = []

    def goes_on(dag_id: str, run_id: str) -> bool:
        asked.append((dag_id, run_id))
        return True

    monkeypatch.setattr(run_ended, "goes_on", goes_on)
    assert take_turn(lake.catalog, lake.tables, run_id=holder, goes_on=lambda _: True) is None
    ask = lambda one: run_ended.holder_goes_on("sf_user_pipeline", one)  # noqa: E731
    assert take_turn(lake.catalog, lake.tables, run_id="scheduled__1", goes_on=ask) == holder
    give_back_turn(lake.catalog, lake.tables, run_id=holder)
    assert take_turn(lake.catalog, lake.tables, run_id="scheduled__1", goes_on=ask) is None
    assert take_turn(lake.catalog, lake.tables, run_id=holder, goes_on=ask) == "scheduled__1"
    assert who_has_the_turn(lake.catalog, lake.tables) == "scheduled__1"
    assert asked == [
        ("lakehouse_maintenance", "scheduled__2026-01-10T03:30:00+00:00"),
        ("sf_user_pipeline", "scheduled__1"),
    ]


@pytest.mark.parametrize("holder", ["scheduled__2026-01-10T03:30:00+00:00", "odd/run", "manual__lakehouse_maintenance"])
def test_what_was_written_before_upkeep_took_turns_is_a_run_of_the_object(holder: str) -> None:
    assert run_of_holder(holder, dag_id="sf_user_pipeline") == ("sf_user_pipeline", holder)


def test_what_a_person_may_ask_for() -> None:
    nouns = ("user", "account")
    assert upkeep_request({}, nouns) == UpkeepRequest()
    one = upkeep_request({"object": "User", "tables": ["changes"], "dry_run": True}, nouns)
    assert one == UpkeepRequest(noun="user", places=("changes",), dry_run=True)
    assert one.concerns("user", "changes")
    assert not one.concerns("user", "mirror")
    assert not one.concerns("account", "changes")
    assert not one.concerns(None, "operations")
    assert UpkeepRequest().concerns(None, "operations")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"object": "lead"}, "Param object is 'lead'; there are account, user"),
        ({"object": 7}, "Param object is 7"),
        ({"tables": ["mirrors"]}, "Param tables has 'mirrors'; allowed are mirror, changes"),
        ({"tables": "mirror"}, "Param tables has 'mirror'; allowed"),
        ({"dry_run": "yes"}, "Param dry_run is 'yes'"),
    ],
)
def test_what_is_misspelt_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamRefused, match=message):
        upkeep_request(params, ("user", "account"))


def test_the_turn_is_given_back_whatever_happens() -> None:
    dag = build_upkeep()
    for noun in ("user", "account"):
        give_back = dag.get_task(f"{noun}.give_back_turn")
        assert give_back.is_teardown
        assert give_back.trigger_rule == TriggerRule.ALL_DONE_SETUP_SUCCESS
        places = {f"{noun}.{place}" for place in ("mirror", "changes", "quarantine", "ledger", "dimension", "snapshot")}
        assert places | {f"{noun}.take_turn"} == give_back.upstream_task_ids
        assert dag.get_task(f"{noun}.take_turn").downstream_task_ids >= places
    assert dag.max_active_runs == 1
    assert {task.retries for task in dag.tasks} == {2}


RECHECK = 30


def _hold(lake: Any, *, waited: timedelta) -> None:
    operator: Any = build_upkeep().get_task("user.take_turn")
    run = SimpleNamespace(start_date=datetime.now(UTC) - waited)
    environment = current_environment({"SF_HISTORY_TURN_RECHECK_SECONDS": f"{RECHECK}"})
    flow = SimpleNamespace(catalog=lake.catalog, tables=lake.tables, environment=environment)
    operator.hold_turn({"run_id": "upkeep 1", "dag_run": run}, flow)


def _airflow(monkeypatch: pytest.MonkeyPatch, *running: tuple[str, str], given_back: bool = False) -> None:
    """What Airflow says of runs: these are running; their upkeep has given the turn back, or not."""

    def runs(*, dag_id: str, run_ids: list[str] | None, states: list[str]) -> int:
        return sum(dag == dag_id and (run_ids is None or run in run_ids) for dag, run in running)

    monkeypatch.setattr(run_ended.RuntimeTaskInstance, "get_dr_count", staticmethod(runs))
    monkeypatch.setattr(run_ended.RuntimeTaskInstance, "get_ti_count", staticmethod(lambda **_: int(given_back)))


def test_a_run_that_reads_is_waited_for_but_not_for_ever(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run([lake.record("01", 1)], end=6)
    _airflow(monkeypatch, ("sf_user_pipeline", "run 1"))
    with pytest.raises(TaskDeferred) as deferred:
        _hold(lake, waited=timedelta(minutes=5))
    assert deferred.value.trigger.serialize()[1] == {
        "dag_id": "sf_user_pipeline",
        "run_id": None,
        "poll_interval": RECHECK,
        "until_task": None,
    }
    assert who_has_the_turn(lake.catalog, lake.tables) is None
    _hold(lake, waited=timedelta(hours=3))
    assert who_has_the_turn(lake.catalog, lake.tables) == upkeep_holder("upkeep 1")


def test_a_run_at_its_history_is_waited_for_however_long(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run([lake.record("01", 1)], end=6)
    _airflow(monkeypatch, ("sf_user_pipeline", "run 1"))
    take_turn(lake.catalog, lake.tables, run_id="run 1", goes_on=lambda _: False)
    with pytest.raises(TaskDeferred) as deferred:
        _hold(lake, waited=timedelta(hours=3))
    assert deferred.value.trigger.serialize()[1]["run_id"] == "run 1"


def test_an_upkeep_is_waited_for_until_it_has_given_the_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    _airflow(monkeypatch, ("lakehouse_maintenance", "upkeep 1"))
    assert run_ended.goes_on("lakehouse_maintenance", "upkeep 1", until_task="user.give_back_turn")
    _airflow(monkeypatch, ("lakehouse_maintenance", "upkeep 1"), given_back=True)
    assert not run_ended.goes_on("lakehouse_maintenance", "upkeep 1", until_task="user.give_back_turn")
    assert run_ended.goes_on("lakehouse_maintenance", "upkeep 1")
