"""The dbt group of a pipeline in Cosmos's watcher mode: the test that has two parents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.airflow_process import PROJECT, answer_of, run_in_airflow

_SCRIPT = """
import json
from cosmos.operators._watcher.aggregation import push_test_result_or_aggregate
from include.config.environment import current_environment
from include.config.object_file import read_object_files
from salesforce_history.pipeline import build_pipeline

dag = build_pipeline(read_object_files()["user"], current_environment())
producer = dag.get_task("dbt_scd2.dbt_producer_watcher")
cross_check = dag.get_task("dbt_scd2.dim_sf_user_agrees_with_snapshot_test")
of_parent = dag.get_task("dbt_scd2.dim_sf_user_scd.test")
(test,) = producer.tests_per_model[cross_check.model_unique_id]

# What asks Airflow for the producer's state, and what runs dbt: here are no scheduler and no lake.
state, commands = ["running"], []
type(cross_check)._get_producer_task_status = lambda self, context: state[0]
type(cross_check).build_and_run_cmd = lambda self, context, cmd_flags: commands.append([*self.base_cmd, *cmd_flags])

class Instance:
    def __init__(self, try_number):
        self.try_number, self.kept = try_number, {}
    def xcom_push(self, *, key, value):
        self.kept[key] = value
    def xcom_pull(self, task_ids, key):
        return self.kept.get(key) if task_ids == producer.task_id else None

def looks(task, instance):
    try:
        return task.poke({"ti": instance, "run_id": "run"})
    except Exception as problem:
        return str(problem)

answers = {}
for status in (None, "pass", "warn", "error", "skipped"):
    instance = Instance(1)
    if status:
        push_test_result_or_aggregate(test, status, producer.tests_per_model, {}, instance)
    answers[str(status)] = looks(cross_check, instance)
state[0] = "failed"
answers["tried again"] = looks(cross_check, Instance(2))
answers["commands"] = commands
answers["among its parent's"] = test in producer.tests_per_model[of_parent.model_unique_id]
answers["its parent's"] = len(producer.tests_per_model[of_parent.model_unique_id])
print("ANSWER" + json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    done = run_in_airflow(
        Path(tmp_path_factory.mktemp("home")),
        _SCRIPT,
        AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
        SF_HISTORY_DBT_EXECUTION="watcher",
    )
    found: dict[str, Any] = answer_of(done)
    return found


def test_its_task_has_its_result_from_the_producer(answers: dict[str, Any]) -> None:
    assert (answers["None"], answers["pass"], answers["warn"]) == (False, True, True)
    for status in ("error", "skipped"):
        assert "dim_sf_user_agrees_with_snapshot' finished with status" in answers[status]


def test_tried_again_it_is_run_by_a_name_that_dbt_knows(answers: dict[str, Any]) -> None:
    assert answers["tried again"] is True
    assert answers["commands"] == [["test", "--select", "dim_sf_user_agrees_with_snapshot"]]


def test_it_is_none_of_its_parents_tests(answers: dict[str, Any]) -> None:
    assert answers["among its parent's"] is False
    assert answers["its parent's"] > 5
