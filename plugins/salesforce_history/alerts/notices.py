"""What is told of a run that goes on: dbt tests that warn, and fields of the org that have changed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context

from include.alerts.alert import Alert, Kind
from include.alerts.bounded import within
from include.alerts.problem import MANY_TESTS
from include.alerts.wording import one_line
from include.config.environment import current_environment
from include.config.object_file import ObjectFile
from include.lake.alert_log import resolve
from include.lake.run_log import read_runs
from salesforce_history.alerts.alerting import tell
from salesforce_history.connections import lake_catalog
from salesforce_history.dag_objects import object_of
from salesforce_history.dbt_results import DBT_RESULTS
from salesforce_history.links import run_link, runbook_link, task_link

log = logging.getLogger(__name__)

_LAKE_SECONDS = 10.0


def tell_of_warnings(context: Context) -> None:
    """Cosmos's `on_warning_callback`: one alert a run and model. Never raises: a warning fails no task.

    :param context: the task's, with `test_names` and `test_results`.
    """
    try:
        said: dict[str, Any] = dict(context)
        instance: Any = context["ti"]
        # A model's tests are the task `test` of its group; a test of several models is a task of its own.
        group, _, name = str(instance.task_id).rpartition(".")
        model = group.split(".")[-1] if name == "test" else name
        warned = dict(zip(said["test_names"], said["test_results"], strict=True))
        _tell_of_warnings(instance, warned, said["dag"], of=model)
    except Exception:
        log.exception("the warnings of a dbt test could not be told")


def tell_of_run_warnings(context: Context, tests: Sequence[str]) -> None:
    """The same for a run as a whole, where Cosmos has no such callback: in its watcher, one dbt build runs all tests.

    :param context: of a task of the run.
    :param tests: names of the dbt tests that warned.
    """
    try:
        warned = dict.fromkeys(tests, "warned")
        _tell_of_warnings(context["ti"], warned, context["dag"], of="the dbt build")
    except Exception:
        log.exception("the warnings of dbt's tests could not be told")


def tell_of_drift(context: Context, object_file: ObjectFile, sentences: Sequence[str]) -> None:
    """The org's fields are not what they were: one alert a run.

    :param context: of check_source.
    :param object_file: the object.
    :param sentences: what has changed; nothing is told where there is none.
    """
    if not sentences:
        return
    instance: Any = context["ti"]
    alert = _notice(
        "schema_drift",
        instance,
        object_file,
        what="drift",
        headline=f"{len(sentences)} change{'s' if len(sentences) > 1 else ''} of its fields in Salesforce",
        error=one_line(" ".join(sentences), longest=2_000),
        stakes="The run goes on, and reads what is there.",
        remedy="Do what each sentence says, if the change is not what you want; each is told once.",
    )
    tell(alert, object_file=object_file)


def _tell_of_warnings(instance: Any, warned: Mapping[str, str], dag: Any, *, of: str) -> None:
    """Told is what has begun: a test that warned in the last good run as well has been told of then."""
    object_file = object_of(instance.dag_id)
    if object_file is None or set(warned) <= _warned_before(instance, object_file):
        return
    alert = _notice(
        "data_warning",
        instance,
        object_file,
        what=f"warning/{of}",
        headline=f"{len(warned)} test{'s' if len(warned) > 1 else ''} of {of} warned",
        error=one_line("; ".join(f"{name}: {result}" for name, result in warned.items()), longest=2_000),
        stakes=f"Published all the same: the run goes on, and readers of {object_file.dimension} see these rows.",
        remedy="Look at the rows that the tests name; correct them in Salesforce, or the test if they are right.",
    )
    tell(alert, object_file=object_file)
    tests = _bad_tests(instance, dag) | set(warned)
    if len(tests) > MANY_TESTS:
        _tell_of_many(instance, object_file, sorted(tests))


def _warned_before(instance: Any, object_file: ObjectFile) -> set[str]:
    """Tests that warned in the object's last good run before this one."""
    environment = current_environment()

    def read() -> list[dict[str, Any]]:
        catalog = lake_catalog(environment.iceberg_conn_id)
        runs = read_runs(catalog, environment.operations_namespace, object_name=object_file.object)
        return runs.select(["run_id", "state", "warned_tests"]).to_pylist()

    try:
        rows = within(_LAKE_SECONDS, read, called="alert-runs")
    except Exception:
        log.warning("the last run's warnings could not be read: these may be told of twice", exc_info=True)
        return set()
    good = [row["warned_tests"] for row in rows if row["state"] == "success" and row["run_id"] != instance.run_id]
    return set((good[-1] or "").split(", ")) if good else set()


def _tell_of_many(instance: Any, object_file: ObjectFile, tests: list[str]) -> None:
    alert = _notice(
        "tests_failed",
        instance,
        object_file,
        what="tests",
        headline=f"more than {MANY_TESTS} tests failed",
        error=one_line(", ".join(tests), longest=2_000),
        stakes=f"Published all the same: none of them is critical. Readers of {object_file.dimension} see these rows.",
        remedy="Look at the rows that the tests name. Many at once have one cause more often than many.",
    )
    if tell(alert, object_file=object_file):
        # The run goes on: there is no failure that could stay open.
        environment = current_environment()
        catalog = lake_catalog(environment.iceberg_conn_id)
        now = datetime.now(UTC)
        resolve(catalog, environment.operations_namespace, [alert.key], at=now, by=instance.run_id)


def _bad_tests(instance: Any, dag: Any) -> set[str]:
    """Tests of this run that have failed or warned so far."""
    dbt_tasks = [task_id for task_id in dag.task_dict if "." in task_id]
    results = instance.xcom_pull(task_ids=dbt_tasks, key=DBT_RESULTS) or []
    return {test for result in results if result for name in ("failed", "warned") for test in result.get(name, ())}


def _notice(kind: Kind, instance: Any, object_file: ObjectFile, *, what: str, **words: str) -> Alert:
    environment = current_environment()
    dag_id, run_id = instance.dag_id, instance.run_id
    return Alert(
        kind=kind,
        key=f"{dag_id}/{run_id}/{what}",
        environment=environment.name,
        object=object_file.object,
        dag_id=dag_id,
        run_id=run_id,
        tasks=(instance.task_id,),
        links={
            "log": task_link(dag_id, run_id, instance.task_id),
            "run": run_link(dag_id, run_id),
            "runbook": runbook_link(environment, kind),
        },
        at=datetime.now(UTC),
        headline=words["headline"],
        error=words["error"],
        stakes=words["stakes"],
        remedy=words["remedy"],
    )
