"""Where the seconds of a run go: its wall time split among what was going on, moment by moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: The parts, in the order in which they are shown.
SCHEDULING = "Airflow: scheduling, between tasks"
STARTING = "task start-up: fork, imports, DAG parse"
WORK = "work: read, validate, upsert, record"
DBT_STARTING = "dbt start-up and parse"
DBT_WORK = "dbt models and tests"
WATCHING = "Cosmos: tasks that watch dbt"
PARTS = (SCHEDULING, STARTING, WORK, DBT_STARTING, DBT_WORK, WATCHING)
#: Where several things go on at once, the run waits for the first of these.
_FIRST = (DBT_WORK, WORK, DBT_STARTING, WATCHING, STARTING)


@dataclass(frozen=True, kw_only=True)
class TaskTimes:
    """One process of a task; a deferred task has several.

    :param task_id: the task.
    :param began: when its process was forked, seconds since the epoch.
    :param ready: when its DAG was parsed and its work began.
    :param done: when it had ended.
    :param cpu_ready: seconds of CPU until it was ready.
    :param cpu_done: seconds of CPU until it had ended.
    """

    task_id: str
    began: float
    ready: float
    done: float
    cpu_ready: float
    cpu_done: float


def split(
    tasks: Sequence[TaskTimes], *, began: float, ended: float, dbt_group: str, dbt_seconds: Mapping[str, float]
) -> dict[str, float]:
    """Seconds of a run's wall time by part; they add up to it.

    :param tasks: its processes.
    :param began: when the run was queued, seconds since the epoch.
    :param ended: when it had ended.
    :param dbt_group: prefix of the ids of dbt's tasks.
    :param dbt_seconds: task that ran dbt → how long dbt's nodes took, from its own report. They are its last seconds.
    """
    spans: list[tuple[float, float, str]] = []
    for task in tasks:
        spans.append((task.began, task.ready, STARTING))
        nodes = dbt_seconds.get(task.task_id)
        if nodes is not None:
            first = max(task.ready, task.done - nodes)
            spans += [(task.ready, first, DBT_STARTING), (first, task.done, DBT_WORK)]
        else:
            spans.append((task.ready, task.done, WATCHING if task.task_id.startswith(dbt_group) else WORK))
    moments = sorted({began, ended, *(min(max(at, began), ended) for span in spans for at in span[:2])})
    parts = dict.fromkeys(PARTS, 0.0)
    for start, end in pairwise(moments):
        going_on = {part for first, last, part in spans if first <= start and end <= last}
        parts[next((part for part in _FIRST if part in going_on), SCHEDULING)] += end - start
    return parts


def cpu_by_part(tasks: Sequence[TaskTimes], *, dbt_group: str, dbt_tasks: Mapping[str, float]) -> dict[str, float]:
    """Seconds of CPU in the tasks' own processes.

    :param tasks: the processes.
    :param dbt_group: prefix of the ids of dbt's tasks.
    :param dbt_tasks: tasks that ran dbt.
    """
    parts = {STARTING: 0.0, WORK: 0.0, "dbt": 0.0, WATCHING: 0.0}
    for task in tasks:
        parts[STARTING] += task.cpu_ready
        ran = "dbt" if task.task_id in dbt_tasks else WATCHING if task.task_id.startswith(dbt_group) else WORK
        parts[ran] += task.cpu_done - task.cpu_ready
    return parts
