"""What a failed run's alert knows, from the task states and XComs that the DAG processor is told of."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup

from include.alerts.problem import Problem, kind_of_failure
from include.config.object_file import read_object_files
from include.quality.dbt_tests import COULD_NOT_RUN
from salesforce_history import run_facts
from salesforce_history.alerts.failure import _alert
from salesforce_history.alerts.recovery import EndedRun
from salesforce_history.dbt_results import DBT_RESULTS
from salesforce_history.noting import PROBLEM
from salesforce_history.run_facts import RunFacts, facts_of

USER = read_object_files()["user"]
VERSIONS, DIMENSION, SNAPSHOT = "dbt_scd2.int_sf_user_versions", "dbt_scd2.dim_sf_user_scd", "dbt_scd2.sf_user_snapshot"
TESTED = f"{VERSIONS}.test"


def facts(monkeypatch: pytest.MonkeyPatch, states: dict[str, str], **xcoms: dict[str, Any]) -> RunFacts:
    """Of a run whose tasks ended so, and left these; key of an XCom -> task -> value."""
    with DAG(dag_id="sf_user_pipeline", schedule=None) as dag:
        upsert_raw = EmptyOperator(task_id="upsert_raw")
        with TaskGroup("dbt_scd2"):
            groups = []
            for model in ("int_sf_user_versions", "dim_sf_user_scd", "sf_user_snapshot"):
                with TaskGroup(model) as group:
                    EmptyOperator(task_id="run") >> EmptyOperator(task_id="test")
                groups.append(group)
            for before, after in pairwise(groups):
                before >> after
        upsert_raw >> groups[0]
        groups[-1] >> EmptyOperator(task_id="rebuild_history") >> EmptyOperator(task_id="publish_metrics")
    monkeypatch.setattr(run_facts.task_runner, "SUPERVISOR_COMMS", object(), raising=False)
    told = SimpleNamespace(get_task_states=lambda **_: {"run": states})
    monkeypatch.setattr(run_facts, "RuntimeTaskInstance", told)
    left = SimpleNamespace(get_one=lambda *, key, task_id, **_: xcoms.get(key, {}).get(task_id))
    monkeypatch.setattr(run_facts, "XCom", left)
    return facts_of(dag, "run", USER)


def problem(error: str = "CosmosDbtRunError") -> dict[str, Any]:
    return Problem(error=error, line="why").model_dump(mode="json")


def test_what_the_rebuild_has_made_good_is_no_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {TESTED: "failed", f"{SNAPSHOT}.run": "failed", "publish_metrics": "failed"}
    problems = {TESTED: problem(), f"{SNAPSHOT}.run": problem(), "publish_metrics": problem("HistoryNotPublished")}
    for rebuilt, failed in (("failed", (TESTED, f"{SNAPSHOT}.run")), ("success", (f"{SNAPSHOT}.run",))):
        found = facts(monkeypatch, {**states, "rebuild_history": rebuilt}, **{PROBLEM: problems})
        assert [task for task in found.failed if task != "rebuild_history"] == list(failed)


@pytest.mark.parametrize(
    ("dimension", "said"),
    [
        ("success", "dim_sf_user_scd holds this run's versions, which failed their checks: tell its readers."),
        ("upstream_failed", "Not published: readers of dim_sf_user_scd see what was published before."),
    ],
)
def test_readers_of_versions_that_failed_are_to_be_told(
    dimension: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = f"{DIMENSION}.test" if dimension == "success" else TESTED
    results = {failed: {"failed": ["unique_user_id"]}}
    found = facts(monkeypatch, {f"{DIMENSION}.run": dimension, failed: "failed"}, **{DBT_RESULTS: results})
    run = EndedRun.of("sf_user_pipeline", "run", None)
    environment = run_facts.current_environment()
    alert = _alert(
        environment=environment,
        object_file=USER,
        dag_id="sf_user_pipeline",
        run=run,
        reason="task_failure",
        facts=found,
    )
    assert alert.kind == "critical_test_failed"
    assert alert.stakes.endswith(said)


def test_tests_that_could_not_run_are_no_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    results = {TESTED: {"failed": [], "errored": ["unique_user_id", "scd_integrity", "a", "b"]}}
    found = facts(monkeypatch, {TESTED: "failed"}, **{DBT_RESULTS: results, PROBLEM: {TESTED: problem()}})
    assert found.tests == frozenset()
    assert found.problem is not None
    assert kind_of_failure("task_failure", found.tests) == "run_failed"


def test_nor_are_they_where_the_row_of_the_run_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"failed_tasks": TESTED, "failed_tests": f"a, unique_user_id{COULD_NOT_RUN}"}
    monkeypatch.setattr(run_facts, "_row", lambda *_: row)
    with DAG(dag_id="sf_user_pipeline", schedule=None) as dag:
        EmptyOperator(task_id="upsert_raw")
    assert facts_of(dag, "run", USER).tests == {"a"}
