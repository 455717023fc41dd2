"""The DAG folder parses to exactly the DAGs that are expected, from a cold process, without I/O and without dbt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from include.config.object_file import read_object_files
from tests.airflow_process import PROJECT, run_in_airflow

#: Every DAG file, and the DAGs that it yields. A file that is not listed fails the test.
EXPECTED = {
    "lakehouse_maintenance.py": {"lakehouse_maintenance"},
    "sf_history_watch.py": {"sf_history_watch"},
    "sf_object_pipelines.py": {"sf_account_pipeline", "sf_user_pipeline"},
}

_PARSE = """
import json, os, socket, subprocess, sys

def refused(what):
    def refuse(*arguments, **more):
        raise AssertionError(f"a DAG file {what} while it is parsed")
    return refuse

from airflow.dag_processing.dagbag import DagBag
import airflow.models.variable, airflow.sdk
import salesforce_history.pipeline

socket.socket.connect = refused("opens a connection")
subprocess.Popen.__init__ = refused("starts a process")
airflow.sdk.Variable.get = refused("reads a Variable")
airflow.sdk.Connection.get = refused("reads a Connection")
before = set(sys.modules)
bag = DagBag(dag_folder=sys.argv[1], include_examples=False)
print("RESULT" + json.dumps({
    "errors": {name: text for name, text in bag.import_errors.items()},
    "dbt": sorted(name for name in sys.modules if name == "dbt" or name.startswith(("dbt.", "duckdb"))),
    "dags": {
        dag.dag_id: {
            "file": os.path.basename(dag.fileloc),
            "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "retries": sorted({task.retries for task in dag.tasks}),
            "tags": sorted(dag.tags),
            "params": sorted(dag.params),
            "doc": dag.doc_md or "",
            "owner": dag.owner,
            "callbacks": [dag.has_on_failure_callback, dag.has_on_success_callback],
            "paused": dag.is_paused_upon_creation,
            "warns": sorted(task.task_id for task in dag.tasks if getattr(task, "on_warning_callback", None)),
            "notes": sorted(task.task_id for task in dag.tasks if task.on_failure_callback),
        }
        for dag in bag.dags.values()
    },
}))
"""


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return parse(tmp_path_factory.mktemp("airflow"))


def parse(home: Path, **variables: str) -> dict[str, Any]:
    """What a cold process finds in the DAG folder."""
    done = run_in_airflow(home, _PARSE, str(PROJECT / "dags"), **variables)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.split("RESULT", 1)[1])
    return result


def test_no_file_fails_to_parse(parsed: dict[str, Any]) -> None:
    assert parsed["errors"] == {}


def test_every_dag_file_is_known_and_yields_what_is_expected(parsed: dict[str, Any]) -> None:
    assert {path.name for path in (PROJECT / "dags").glob("*.py")} == set(EXPECTED)
    for name, dags in EXPECTED.items():
        assert {dag_id for dag_id, dag in parsed["dags"].items() if dag["file"] == name} == dags


def test_every_object_file_has_its_dag(parsed: dict[str, Any]) -> None:
    pipelines = {dag_id for dag_id, dag in parsed["dags"].items() if dag["file"] == "sf_object_pipelines.py"}
    assert pipelines == {object_file.dag_id for object_file in read_object_files().values()}


def test_parsing_never_starts_dbt(parsed: dict[str, Any]) -> None:
    assert parsed["dbt"] == []


@pytest.mark.parametrize("noun", ["user", "account"])
def test_the_flow_of_a_pipeline(parsed: dict[str, Any], noun: str) -> None:
    tasks = parsed["dags"][f"sf_{noun}_pipeline"]["tasks"]
    assert tasks["check_source"] == ["extract"]
    assert tasks["extract"] == ["validate"]
    assert tasks["validate"] == ["upsert_raw"]
    assert tasks["upsert_raw"] == ["take_turn"]
    assert all(task.startswith("dbt_scd2.") for task in tasks["take_turn"])
    groups = {task.split(".")[1] for task in tasks if task.startswith("dbt_scd2.")}
    for model in (
        f"stg_sf_{noun}",
        f"stg_sf_{noun}_changes",
        f"int_sf_{noun}_changes",
        f"int_sf_{noun}_versions",
        f"dim_sf_{noun}_scd",
        f"dim_sf_{noun}_current",
        f"sf_{noun}_snapshot",
    ):
        assert any(group.startswith(model) for group in groups), f"{model} has no task group in {sorted(groups)}"
    assert f"dbt_scd2.dim_sf_{noun}_scd.run" in tasks[f"dbt_scd2.int_sf_{noun}_versions.test"]
    assert tasks["publish_metrics"] == []
    assert tasks["rebuild_history"] == ["publish_metrics"]


@pytest.mark.parametrize("noun", ["user", "account"])
def test_how_a_pipeline_is_operated(parsed: dict[str, Any], noun: str) -> None:
    dag = parsed["dags"][f"sf_{noun}_pipeline"]
    assert (dag["catchup"], dag["max_active_runs"]) == (False, 1)
    assert dag["params"] == ["erase", "full_refresh", "replay_quarantine", "since", "until"]
    assert dag["tags"] == sorted(["salesforce", f"sf_{noun}", "scd2"])
    assert dag["owner"] == "data-platform"
    assert f"sf_{noun}_changes" in dag["doc"]
    assert dag["callbacks"] == [True, True]
    dbt_tasks = {task for task in dag["tasks"] if task.startswith("dbt_scd2.")}
    assert set(dag["notes"]) == {*dbt_tasks, "rebuild_history"}
    tests = {task for task in dbt_tasks if task.endswith("test")}
    assert tests
    assert set(dag["warns"]) == tests
    assert dag["paused"] is None


def test_the_watch_is_paused_on_a_laptop_and_runs_one_at_a_time(parsed: dict[str, Any]) -> None:
    watch = parsed["dags"]["sf_history_watch"]
    assert watch["paused"] is True
    assert (watch["catchup"], watch["max_active_runs"], watch["retries"]) == (False, 1, [0])
    assert list(watch["tasks"]) == ["look"]


def test_in_the_cloud_watch_and_upkeep_start_by_themselves(parsed: dict[str, Any], tmp_path: Path) -> None:
    """Airflow's dags_are_paused_at_creation is True by default; only what a DAG says itself goes before it."""
    dags = parse(tmp_path, SF_HISTORY_ENV="production")["dags"]
    paused = {name: dag["paused"] for name, dag in dags.items() if not name.endswith("_pipeline")}
    assert paused == {"sf_history_watch": False, "lakehouse_maintenance": False}
    assert parsed["dags"]["lakehouse_maintenance"]["paused"] is None
