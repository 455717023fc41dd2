"""What is known of a run that has ended badly, gathered where its callback runs: the DAG processor, or `dag.test`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.sdk.execution_time.xcom import XCom

from include.alerts.bounded import within
from include.alerts.problem import CONSEQUENCE, Problem
from include.config.environment import current_environment
from include.config.object_file import ObjectFile
from include.lake.run_log import read_run
from include.quality.dbt_tests import COULD_NOT_RUN
from include.staging.manifest import ExtractionManifest, ReadPlan, UpsertManifest, ValidationManifest
from salesforce_history.connections import lake_catalog
from salesforce_history.dbt_results import DBT_RESULTS
from salesforce_history.made_good import failed_for_good
from salesforce_history.noting import PROBLEM, noted_here

log = logging.getLogger(__name__)

_DBT_GROUP = "dbt_scd2"
_REBUILD = "rebuild_history"
_LAKE_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What is known of a run.

    :param failed: tasks that failed and that nothing has made good, in the order of the flow.
    :param problem: why the first of them failed; None: it did not say.
    :param tests: names of dbt tests that failed.
    :param window: what the run was to read.
    :param numbers: rows_extracted, rows_accepted, rows_quarantined, observations_logged, as far as it got.
    :param published: the dimension holds versions of this run, although it failed.
    """

    failed: tuple[str, ...] = ()
    problem: Problem | None = None
    tests: frozenset[str] = frozenset()
    window: tuple[datetime | None, datetime] | None = None
    numbers: Mapping[str, int] = field(default_factory=dict)
    published: bool = False


def facts_of(dag: Any, run_id: str, object_file: ObjectFile | None) -> RunFacts:
    """Ask Airflow and, where Airflow cannot be asked, the lake.

    :param dag: the DAG, of which the flow's order is taken.
    :param run_id: the run.
    :param object_file: its object; None for a DAG that has none.
    """
    if getattr(task_runner, "SUPERVISOR_COMMS", None) is None:
        return _from_the_lake(dag, run_id, object_file)
    states: dict[str, str] = RuntimeTaskInstance.get_task_states(dag_id=dag.dag_id, run_ids=[run_id]).get(run_id, {})
    in_order = {task: states[task] for task in _in_order(dag, states)}
    failed = failed_for_good(in_order, dbt_group=_DBT_GROUP, rebuild=_REBUILD)
    problems = {task: Problem.model_validate(said) for task in failed if (said := _pull(dag, run_id, task, PROBLEM))}
    results = [_pull(dag, run_id, task, DBT_RESULTS) or {} for task in failed if task.startswith(f"{_DBT_GROUP}.")]
    window, numbers = _manifests(dag, run_id) if object_file else (None, {})
    return RunFacts(
        **_cause(failed, problems),
        tests=frozenset(test for result in results for test in result.get("failed", ())) or _named(problems),
        window=window,
        numbers=numbers,
        published=bool(object_file) and states.get(f"{_DBT_GROUP}.{object_file.dimension}.run") == "success",  # type: ignore[union-attr]
    )


def _cause(failed: list[str], problems: Mapping[str, Problem]) -> dict[str, Any]:
    """What failed by itself: not what only says that something else has."""
    causes = [task for task in failed if task not in problems or problems[task].error != CONSEQUENCE] or failed
    return {"failed": tuple(causes), "problem": problems.get(causes[0]) if causes else None}


def _named(problems: Mapping[str, Problem]) -> frozenset[str]:
    return frozenset(test for problem in problems.values() for test in problem.tests)


def _in_order(dag: Any, tasks: Mapping[str, Any]) -> list[str]:
    """Tasks in the order of the flow: whoever has fewer tasks before it comes first."""
    before: dict[str, set[str]] = {}

    def upstream(task_id: str) -> set[str]:
        if task_id not in before:
            direct = dag.task_dict[task_id].upstream_task_ids if task_id in dag.task_dict else set()
            before[task_id] = set(direct).union(*map(upstream, direct))
        return before[task_id]

    return sorted(tasks, key=lambda task: (len(upstream(task)), task))


def _pull(dag: Any, run_id: str, task_id: str, key: str = "return_value") -> Any:
    if task_id not in dag.task_dict:
        return None
    return XCom.get_one(key=key, dag_id=dag.dag_id, task_id=task_id, run_id=run_id)


def _manifests(dag: Any, run_id: str) -> tuple[tuple[datetime | None, datetime] | None, dict[str, int]]:
    """The window and the numbers, from what the tasks have returned."""
    window, numbers = None, {}
    if plan := _pull(dag, run_id, "check_source"):
        read = ReadPlan.model_validate(plan).window
        window = (read.start, read.end)
    if extraction := _pull(dag, run_id, "extract"):
        numbers["rows_extracted"] = ExtractionManifest.model_validate(extraction).stats.rows
    if validation := _pull(dag, run_id, "validate"):
        judged = ValidationManifest.model_validate(validation)
        numbers |= {"rows_accepted": judged.accepted, "rows_quarantined": judged.rejected}
    if upsert := _pull(dag, run_id, "upsert_raw"):
        numbers["observations_logged"] = UpsertManifest.model_validate(upsert).logged
    return window, numbers


def _from_the_lake(dag: Any, run_id: str, object_file: ObjectFile | None) -> RunFacts:
    """`dag.test` has no supervisor whom a callback could ask: there is what this process noted, and the run's row."""
    problems = noted_here(dag.dag_id, run_id)
    row = _row(run_id, object_file) if object_file else {}
    recorded = filter(None, (row.get("failed_tasks") or "").split(", "))
    failed = _in_order(dag, dict.fromkeys([*recorded, *problems]))
    end = row.get("window_end")
    tests = [name for name in (row.get("failed_tests") or "").split(", ") if name and not name.endswith(COULD_NOT_RUN)]
    return RunFacts(
        **_cause(failed, problems),
        tests=frozenset(tests) or _named(problems),
        window=(row.get("window_start"), end) if end else None,
        numbers={name: value for name in _NUMBERS if (value := row.get(name)) is not None},
    )


_NUMBERS = ("rows_extracted", "rows_accepted", "rows_quarantined", "observations_logged")


def _row(run_id: str, object_file: ObjectFile) -> dict[str, Any]:
    environment = current_environment()

    def read() -> dict[str, Any] | None:
        catalog = lake_catalog(environment.iceberg_conn_id)
        return read_run(catalog, environment.operations_namespace, run_id=run_id, object_name=object_file.object)

    try:
        return within(_LAKE_SECONDS, read, called="alert-row") or {}
    except Exception:
        log.warning("the row of run %s could not be read; the alert will say less", run_id, exc_info=True)
        return {}
