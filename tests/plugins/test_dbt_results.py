"""What dbt reported, kept by Cosmos in each mode in which it runs dbt: real dbt, on a small project."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cosmos import ProfileConfig
from cosmos.constants import InvocationMode
from cosmos.operators.local import DbtBuildLocalOperator, DbtTestLocalOperator
from cosmos.operators.watcher import DbtProducerWatcherOperator

from salesforce_history.dbt_results import DBT_RESULTS, dbt_results_of_run, keep_dbt_results

DBT = shutil.which("dbt", path=str(Path(sys.executable).parent))
FILES = {
    "dbt_project.yml": "name: small\nprofile: small\nversion: 1.0.0\nmodel-paths: [models]\n",
    "profiles.yml": "small:\n  target: t\n  outputs:\n    t: {{type: duckdb, path: '{folder}/small.duckdb'}}\n",
    "models/fruit.sql": "select 'apple' as name, 1 as number union all select 'pear', {number}\n",
    "models/schema.yml": """
models:
  - name: fruit
    columns:
      - name: number
        data_tests:
          - not_null
          - unique: {{name: one_of_each}}
      - name: name
        data_tests:
          - accepted_values: {{name: listed, arguments: {{values: [apple]}}, config: {{severity: warn}}}}
""",
}


class Instance:
    """What a task instance keeps."""

    task_id, dag_id, run_id, try_number = "task", "dag", "run", 1
    task = SimpleNamespace(task_group=SimpleNamespace(group_id="dbt_scd2"))

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.kept[key] = value

    def xcom_pull(self, *, key: str, task_ids: str = "task") -> Any:
        return self.kept.get(key) if task_ids == "task" else None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "small"
    (folder / "models").mkdir(parents=True)
    # What the producer keeps for its retry is in Airflow's database, which this test does without.
    monkeypatch.setattr("cosmos.settings.enable_watcher_reliable_retry", False)
    for name, text in FILES.items():
        (folder / name).write_text(text.format(folder=folder, number=1))
    return folder


def options(project: Path, mode: InvocationMode) -> dict[str, Any]:
    assert DBT, "dbt is installed beside this Python"
    return {
        "task_id": "task",
        "project_dir": str(project),
        "profile_config": ProfileConfig(
            profile_name="small", target_name="t", profiles_yml_filepath=project / "profiles.yml"
        ),
        "install_deps": False,
        "append_env": True,
        "emit_datasets": False,
        "callback": keep_dbt_results,
        "invocation_mode": mode,
        "should_store_compiled_sql": False,
        "partial_parse": False,
        "env": {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "PATH": os.environ["PATH"]},
        **({"dbt_executable_path": DBT} if mode is InvocationMode.SUBPROCESS else {}),
    }


def run(operator: Any) -> Instance:
    """The task, which fails as often as dbt does."""
    instance = Instance()
    context = {"ti": instance, "task_instance": instance, "run_id": "run"}
    try:
        operator.execute(context)
    except Exception as problem:  # noqa: BLE001 each mode has its own
        instance.kept["failed with"] = str(problem)
    return instance


@pytest.mark.parametrize("mode", [InvocationMode.DBT_RUNNER, InvocationMode.SUBPROCESS])
@pytest.mark.parametrize("operator", [DbtBuildLocalOperator, DbtProducerWatcherOperator])
def test_a_build_that_fails_tells_which_tests(project: Path, operator: Any, mode: InvocationMode) -> None:
    told = run(operator(**options(project, mode))).kept
    assert "one_of_each" in told["failed with"] or "exit code" in told["failed with"], told
    results = told[DBT_RESULTS]
    assert (results["failed"], results["warned"], results["passed"]) == (["one_of_each"], ["listed"], 1)
    assert results["error"].startswith("one_of_each: Got 1 result")
    assert results["seconds"]["fruit"] > 0


def test_what_was_made_good_afterwards_is_no_failure(project: Path) -> None:
    mode = InvocationMode.DBT_RUNNER
    failed = run(DbtBuildLocalOperator(**options(project, mode))).kept[DBT_RESULTS]
    (project / "models" / "fruit.sql").write_text(FILES["models/fruit.sql"].format(number=2))
    assert "failed with" not in run(DbtBuildLocalOperator(**options(project, mode))).kept
    tested = run(DbtTestLocalOperator(**options(project, mode))).kept[DBT_RESULTS]
    assert (tested["failed"], tested["warned"], tested["passed"], tested["seconds"]) == ([], ["listed"], 2, {})
    instance = SimpleNamespace(xcom_pull=lambda task_ids, **_: {"a": tested, "b": failed}.get(task_ids))
    of_run = dbt_results_of_run({"ti": instance}, ["b", "a", "without"])  # type: ignore[typeddict-item]
    assert of_run is not None
    assert (of_run.named("failed"), of_run.named("warned")) == ([], ["listed"])


def test_a_report_that_cannot_be_read_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "run_results.json").write_text("{")
    keep_dbt_results(str(tmp_path), context={"ti": Instance()})  # type: ignore[typeddict-item]
    assert "what dbt reported is not on record" in caplog.text
