"""The dbt group of a pipeline in Cosmos's watcher mode."""

from __future__ import annotations

import json
from pathlib import Path

from tests.airflow_process import PROJECT, run_in_airflow

_SCRIPT = """
import json
from cosmos.operators._watcher.aggregation import push_test_result_or_aggregate
from include.config.environment import current_environment
from include.config.object_file import read_object_files
from salesforce_history.pipeline import build_pipeline

dag = build_pipeline(read_object_files()["user"], current_environment())
producer = dag.get_task("dbt_scd2.dbt_producer_watcher")
cross_check = dag.get_task("dbt_scd2.dim_sf_user_agrees_with_snapshot_test")
# What asks Airflow for the producer's state: here is no scheduler, and the producer is still at work.
type(cross_check)._get_producer_task_status = lambda self, context: "running"

class Instance:
    try_number = 1
    def __init__(self):
        self.kept = {}
    def xcom_push(self, *, key, value):
        self.kept[key] = value
    def xcom_pull(self, task_ids, key):
        return self.kept.get(key) if task_ids == producer.task_id else None

answers = {}
for status in (None, "pass", "warn", "fail"):
    instance = Instance()
    if status:
        push_test_result_or_aggregate(cross_check.model_unique_id, status, producer.tests_per_model, {}, instance)
    try:
        answers[str(status)] = cross_check.poke({"ti": instance, "run_id": "run"})
    except Exception as problem:
        answers[str(status)] = str(problem)
print("ANSWER" + json.dumps(answers))
"""


def test_the_cross_check_has_its_result_from_the_producer(tmp_path: Path) -> None:
    done = run_in_airflow(
        tmp_path,
        _SCRIPT,
        AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
        SF_HISTORY_DBT_EXECUTION="watcher",
    )
    assert "ANSWER" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    answers = json.loads(done.stdout.rsplit("ANSWER", 1)[1].splitlines()[0])
    failed = answers.pop("fail")
    assert "finished with status" in failed
    assert "agrees_with_snapshot" in failed
    assert answers == {"None": False, "pass": True, "warn": True}
