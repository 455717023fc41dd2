"""The only place that configures Cosmos: which dbt nodes an object has, and how they run.

Nodes come from a manifest built beforehand (`make manifest`, the Dockerfile, the MWAA bundle), so that parsing a DAG
never starts dbt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior
from cosmos.operators.local import DbtBuildLocalOperator
from cosmos.operators.watcher import DbtProducerWatcherOperator, DbtTestWatcherOperator

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from salesforce_history.alerts.callbacks import tell_of_warnings
from salesforce_history.dbt_results import keep_dbt_results
from salesforce_history.made_good import can_be_rebuilt
from salesforce_history.noting import note_failure

PROFILE = "sf_history"

#: Unit tests prove the SQL when it is written; a run has nothing to learn from them. dbt's own log file would be in the
#: copy of the project that Cosmos makes and removes.
_ENVIRONMENT = {
    "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test",
    "DBT_LOG_LEVEL_FILE": "none",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
}


class ManifestMissing(FileNotFoundError):
    """The dbt project has no manifest, so its nodes cannot be shown as tasks."""


def manifest_path(environment: Environment) -> Path:
    """Where the dbt manifest is.

    :raises ManifestMissing: saying how to build it.
    """
    path = environment.dbt_project / "target" / "manifest.json"
    if not path.is_file():
        raise ManifestMissing(f"no dbt manifest at {path}. Build it with `make manifest` before the DAGs are parsed.")
    return path


def dbt_task_group(object_file: ObjectFile, environment: Environment, *, group_id: str) -> DbtTaskGroup:
    """One task group a dbt model of the object: the model, then its tests.

    Tests that have several parents (the cross-check of dimension and snapshot) run on their own after all of them.

    :param object_file: its nodes carry the tag `sf_<noun>`.
    :param group_id: id of the outer group.
    """
    watcher = environment.dbt_execution == "watcher"
    group = DbtTaskGroup(
        group_id=group_id,
        project_config=_project(environment),
        profile_config=_profile(environment),
        execution_config=ExecutionConfig(
            execution_mode=ExecutionMode.WATCHER if watcher else ExecutionMode.LOCAL,
            **_invocation(environment),
        ),
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            select=[f"tag:{object_file.table}"],
            test_behavior=TestBehavior.AFTER_EACH,
            should_detach_multiple_parents_tests=True,
            emit_datasets=False,
        ),
        operator_args={
            "append_env": True,
            "pool": environment.dbt_pool,
            "callback": keep_dbt_results,
            "on_failure_callback": note_failure,
        },
        on_warning_callback=tell_of_warnings,
    )
    if watcher:
        _tell_of_tests_on_their_own(group)
    return group


class RebuildHistoryOperator(DbtBuildLocalOperator):
    """One dbt build of the object's models in which every record's history is worked out anew from the changes log.

    Skips itself where no dbt model failed: what stopped the run then happened before the history, or after it.

    :param object_file: whose models.
    :param group_id: the Cosmos group whose failures it makes good.
    """

    def __init__(self, *, object_file: ObjectFile, environment: Environment, group_id: str, **kwargs: Any) -> None:
        super().__init__(
            project_dir=str(environment.dbt_project),
            profile_config=_profile(environment),
            select=f"tag:{object_file.table}",
            exclude="resource_type:snapshot",
            full_refresh=True,
            install_deps=False,
            append_env=True,
            env=_variables(environment),
            pool=environment.dbt_pool,
            emit_datasets=False,
            on_failure_callback=note_failure,
            callback=keep_dbt_results,
            **_invocation(environment),
            **kwargs,
        )
        self.group_id = group_id

    def execute(self, context: Context, **kwargs: Any) -> Any:
        """Build, if there is something to make good."""
        states = context["ti"].get_task_states(
            dag_id=self.dag_id, task_group_id=self.group_id, run_ids=[context["run_id"]]
        )[context["run_id"]]
        if not any(state == "failed" and can_be_rebuilt(task) for task, state in states.items()):
            raise AirflowSkipException("no dbt model failed: there is no history to rebuild")
        return super().execute(context, **kwargs)


def _tell_of_tests_on_their_own(group: DbtTaskGroup) -> None:
    """Have the producer tell how a test with several parents went, by itself and not as one of each parent's tests.

    Cosmos's producer tells of tests by model only. The task of such a test would find nothing, wait in the triggerer
    for the end of the build, and succeed even if the test could not run; the tests of its parents would fail for it.
    Tried again, it would select the test by a name with a hash in it, which dbt does not know: it would test nothing,
    and succeed.
    """
    tasks = list(group.iter_tasks())
    producer = next(task for task in tasks if isinstance(task, DbtProducerWatcherOperator))
    alone: dict[str, list[str]] = {}
    for task in tasks:
        if isinstance(task, DbtTestWatcherOperator) and str(task.model_unique_id).startswith("test."):
            test = task.model_unique_id
            task.model_unique_id = test.rsplit(".", 1)[0]
            alone[task.model_unique_id] = [test]
    apart = {test for tests in alone.values() for test in tests}
    of_models = {
        model: [test for test in tests if test not in apart] for model, tests in producer.tests_per_model.items()
    }
    producer.tests_per_model = {**of_models, **alone}


def _project(environment: Environment) -> ProjectConfig:
    project = ProjectConfig(
        dbt_project_path=environment.dbt_project,
        project_name="sf_history",
        env_vars=_variables(environment),
        install_dbt_deps=False,
    )
    # Given to it at once, Cosmos makes an ObjectStoragePath of it, and opening one imports every provider's file system
    # (boto3 for S3's) and every plugin (FastAPI for Cosmos's own): 1.1 s of each parse, and every task parses its DAG.
    project.manifest_path = manifest_path(environment)
    return project


def _variables(environment: Environment) -> dict[str, str]:
    return {**environment.dbt_variables(), **_ENVIRONMENT}


def _profile(environment: Environment) -> ProfileConfig:
    return ProfileConfig(
        profile_name=PROFILE,
        target_name=environment.dbt_target,
        profiles_yml_filepath=environment.dbt_project / "profiles.yml",
    )


def _invocation(environment: Environment) -> dict[str, Any]:
    if environment.dbt_executable:
        return {
            "invocation_mode": InvocationMode.SUBPROCESS,
            "dbt_executable_path": environment.dbt_executable,
        }
    return {"invocation_mode": InvocationMode.DBT_RUNNER}
