"""SLAs as Airflow's deadlines: of a run, and of its groups of tasks, since the run was queued.

Airflow has deadlines for runs alone. So the deadline of a group is one of the run, at which `lateness` looks whether
that group's tasks are done. An escalation is a second, later deadline.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from typing import Any

from airflow.sdk import DAG

from include.alerts.lateness import Watch
from include.config.environment import Environment
from include.config.object_file import ObjectFile, ObjectFileError
from salesforce_history.dag_version import dag_version

try:
    # The type stub of airflow.sdk does not know them.
    from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference  # type: ignore[attr-defined]

    HAS_DEADLINES = True
except ImportError:
    HAS_DEADLINES = False

log = logging.getLogger(__name__)

#: The callback, by name: the DAG processor has no need of it.
CALLBACK = "salesforce_history.alerts.lateness.tell_if_late"

EXTRACT = ("check_source", "extract", "validate")
UPSERT = ("upsert_raw",)
TURN = "take_turn"
REBUILD = "rebuild_history"


class PipelineDag(DAG):
    """A DAG that can be tested although it has deadlines.

    `DAG.test`, which is behind `airflow dags test`, breaks off at the end of the successful run of a DAG that has
    (apache/airflow#73428, 3.2 and 3.3). No scheduler looks at the deadlines of such a run, so it does without them.
    """

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """As `DAG.test`."""
        kept, self.deadline = self.deadline, None
        try:
            return super().test(*args, **kwargs)
        finally:
            self.deadline = kept


def add_deadlines(dag: DAG, object_file: ObjectFile, environment: Environment, *, dbt_group: str) -> None:
    """Give a pipeline the deadlines of its object file's SLAs. The last thing that is done to it.

    :param dag: with all its tasks.
    :param object_file: it says the SLAs.
    :param environment: the DAG was built for.
    :param dbt_group: id of the Cosmos group.
    :raises ObjectFileError: if an SLA is for a dbt model that the object does not have.
    """
    watches = plan_watches(dag, object_file, dbt_group=dbt_group, version=dag_version(dag, environment))
    if not HAS_DEADLINES:
        _warn_once()
        return
    dag.deadline = [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(seconds=watch.sla_seconds + watch.escalate_seconds),
            callback=AsyncCallback(CALLBACK, kwargs=watch.model_dump(mode="json")),
        )
        for watch in watches
    ]


def plan_watches(dag: DAG, object_file: ObjectFile, *, dbt_group: str, version: str) -> list[Watch]:
    """What each deadline looks at. Groups that are due at the same moment share one.

    :param dag: with all its tasks.
    :param object_file: it says the SLAs.
    :param dbt_group: id of the Cosmos group.
    :param version: fingerprint of the DAG.
    :raises ObjectFileError: if an SLA is for a dbt model that the object does not have.
    """
    slas = object_file.slas
    models = model_tasks(dag, dbt_group)
    if unknown := sorted(set(slas.models) - set(models)):
        raise ObjectFileError(
            f"the object file of {object_file.object}: slas.models: {', '.join(unknown)} is no dbt model of the "
            f"object; allowed are {', '.join(sorted(models))}"
        )
    groups: dict[str, tuple[timedelta | None, list[str]]] = {
        "run": (slas.run, [task.task_id for task in in_order(dag)]),
        "extract": (slas.extract, list(EXTRACT)),
        "upsert": (slas.upsert, list(UPSERT)),
        **{name: (slas.models.get(name, slas.each_model), [TURN, *tasks]) for name, tasks in models.items()},
    }
    due: dict[int, dict[str, list[str]]] = defaultdict(dict)
    for name, (sla, tasks) in groups.items():
        if sla is not None:
            due[round(sla.total_seconds())][name] = tasks
    return [
        Watch(
            noun=object_file.noun,
            sla_seconds=seconds,
            escalate_seconds=later,
            groups=together,
            rebuild_task=REBUILD,
            models=f"{dbt_group}.",
            dag_version=version,
        )
        for seconds, together in sorted(due.items())
        for later in (0, round(slas.escalate_after.total_seconds()))
    ]


def model_tasks(dag: DAG, dbt_group: str) -> dict[str, list[str]]:
    """The tasks of each dbt model and snapshot: those that build it and those that test it, in the order they run.

    A test of several models runs on its own after all of them, and belongs to each.

    :param dag: with all its tasks.
    :param dbt_group: id of the Cosmos group.
    """
    owners: dict[str, list[str]] = {}
    for task in in_order(dag):
        if not task.task_id.startswith(f"{dbt_group}."):
            continue
        node: Mapping[str, Any] = getattr(task, "extra_context", {}).get("dbt_node_config", {})
        if node.get("resource_type") in ("model", "snapshot"):
            owners[task.task_id] = [node["unique_id"].rsplit(".", 1)[-1]]
        elif node.get("resource_type") == "test":
            parents = (owners.get(parent, []) for parent in sorted(task.upstream_task_ids))
            owners[task.task_id] = list(dict.fromkeys(name for names in parents for name in names))
    found: dict[str, list[str]] = defaultdict(list)
    for task_id, names in owners.items():
        for name in names:
            found[name].append(task_id)
    return dict(found)


def in_order(dag: DAG) -> list[Any]:
    """The tasks in an order in which they can run, the same one in every process: deadlines whose order of tasks
    changed would be a new version of the DAG each time it is parsed.

    :param dag: with all its tasks.
    """
    depths: dict[str, int] = {}
    for task in dag.topological_sort():
        depths[task.task_id] = 1 + max((depths[parent] for parent in task.upstream_task_ids), default=0)
    return sorted(dag.tasks, key=lambda task: (depths[task.task_id], task.task_id))


@cache
def _warn_once() -> None:
    log.warning(
        "this Airflow has no deadlines (3.2 and later have): missed SLAs are not told of. Everything else works; "
        "failures are told of as ever."
    )
