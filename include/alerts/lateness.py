"""Is a run late? What is unfinished at a deadline, and in which words that is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from include.alerts.alert import Alert, Kind
from include.config.durations import write_duration

#: Airflow's state of each task of a run, by task id; None: it has not begun.
States = Mapping[str, str | None]

#: A task in one of these has nothing left to do. That it failed is told by the failure's own alert.
DONE = frozenset({"success", "skipped", "failed", "upstream_failed", "removed"})
_FAILED = frozenset({"failed", "upstream_failed"})

_IN_WORDS = {
    None: "not started",
    "scheduled": "queued",
    "restarting": "running",
    "deferred": "waiting",
    "up_for_reschedule": "waiting",
    "up_for_retry": "waiting for its next attempt",
}
#: What to do about a task that is in the way, in the order in which it helps.
_REMEDIES = {
    "running": "Open the log of {tasks}: if nothing moves there, clear it. It starts again; the outcome is the same.",
    "waiting for its next attempt": "{tasks} failed and will be tried again: the log of the last attempt says why.",
    "waiting": "{tasks} waits: its log says for what (another run's turn at the history, or free API requests).",
    "queued": "{tasks} waits for a slot: look at the pools (Admin > Pools) and whether the workers are alive.",
}
_NOTHING_BEGAN = (
    "No task has begun: see whether another run of this DAG goes on (it runs one at a time), the DAG is paused, or the "
    "scheduler stands still."
)
_NOTHING_NEXT = "No task is running, and what comes next was not started: see whether the scheduler is alive."
_STAKES = "Readers see the last published state; nothing that was read is lost."

#: So many tasks that have not begun are named in each group; those that have begun all are.
_NAMED = 5


class Watch(BaseModel):
    """What one deadline looks at: groups of tasks that are to be done at the same moment.

    :param noun: the object's noun (`user`).
    :param sla_seconds: when they are to be done, since the run was queued.
    :param escalate_seconds: how long after that this deadline is; 0: it is the SLA itself.
    :param groups: name of each group → its task ids, in the order in which they run.
    :param rebuild_task: the task that makes failed models good.
    :param models: task id prefix of the dbt models.
    :param dag_version: see salesforce_history/dag_version.py.
    """

    # A deadline outlives the release that made it, so what a later one does not know is no error.
    model_config = ConfigDict(frozen=True, extra="ignore")

    noun: str
    sla_seconds: int = Field(gt=0)
    escalate_seconds: int = Field(default=0, ge=0)
    groups: dict[str, list[str]] = Field(min_length=1)
    rebuild_task: str
    models: str
    dag_version: str = ""

    @property
    def kind(self) -> Kind:
        """The kind of alert that it may become."""
        return "sla_still_missed" if self.escalate_seconds else "sla_missed"


@dataclass(frozen=True, kw_only=True)
class LateRun:
    """A run whose deadline has passed, as far as an alert is concerned.

    :param dag_id: the DAG.
    :param run_id: the run.
    :param run_type: Airflow's: scheduled, manual, backfill …
    :param goes_on: it is queued or running, rather than ended or deleted.
    :param queued_at: when it was queued, UTC.
    :param interval: what it covers, if it says so.
    """

    dag_id: str
    run_id: str
    run_type: str
    goes_on: bool
    queued_at: datetime
    interval: tuple[datetime, datetime] | None = None


def lateness(
    watch: Watch,
    run: LateRun,
    states: States,
    *,
    now: datetime,
    environment: str,
    object_name: str,
    links: Mapping[str, str],
    log_link: Callable[[str], str],
) -> Alert | None:
    """What there is to tell at a deadline; None: nothing.

    Silent are runs that have ended (a failure has its own alert), backfills (nobody waits for them), and groups whose
    tasks are all done.

    :param watch: the deadline.
    :param run: the run.
    :param states: of all its tasks.
    :param now: UTC.
    :param environment: its name.
    :param object_name: API name of the object.
    :param links: where the run and the runbook are.
    :param log_link: where a task's log is.
    """
    if not run.goes_on or run.run_type == "backfill":
        return None
    late = {name: tasks for name in watch.groups if (tasks := unfinished(watch, name, states))}
    if not late:
        return None
    since_queued = now - run.queued_at
    sla = timedelta(seconds=watch.sla_seconds)
    active = _by_words({task: state for task, state in states.items() if state is not None and state not in DONE})
    first = next(iter(active.values()))[0] if active else None
    headline = "SLA still missed" if watch.escalate_seconds else "SLA missed"
    age = since_queued if watch.escalate_seconds else sla
    return Alert(
        kind=watch.kind,
        key=f"{watch.kind}/{run.dag_id}/{run.run_id}/{watch.sla_seconds + watch.escalate_seconds}",
        environment=environment,
        object=object_name,
        dag_id=run.dag_id,
        run_id=run.run_id,
        interval=run.interval,
        headline=f"{headline}: {_few(list(late))} unfinished {write_duration(age)} after the run was queued",
        tasks=tuple(_by_group(late)),
        error=f"{write_duration(since_queued - sla)} late. {_whereabouts(active, states)}",
        stakes=_STAKES,
        remedy=_remedy(active, states),
        links={**links, **({"log": log_link(first)} if first else {})},
        at=now,
    )


def unfinished(watch: Watch, group: str, states: States) -> dict[str, str | None]:
    """The tasks of a group that have something left to do, with their states.

    A model that failed may yet be made good by `rebuild_history`: until that has ended, it is the unfinished one.

    :param watch: the deadline.
    :param group: name of one of its groups.
    :param states: of all the tasks of the run. A task that is not among them has not begun.
    """
    found = {task: states.get(task) for task in watch.groups[group] if states.get(task) not in DONE}
    models = [task for task in watch.groups[group] if task.startswith(watch.models)]
    rebuilding = any(state == "failed" and task.startswith(watch.models) for task, state in states.items())
    if rebuilding and any(states.get(task) in _FAILED for task in models):
        state = states.get(watch.rebuild_task)
        if state not in DONE:
            found[watch.rebuild_task] = state
    return found


def _words(state: str | None) -> str:
    return _IN_WORDS.get(state) or str(state).replace("_", " ")


def _by_words(tasks: States) -> dict[str, list[str]]:
    """Tasks by what they are doing: first those that can be helped first."""
    found: dict[str, list[str]] = {words: [] for words in _REMEDIES}
    for task, state in tasks.items():
        found.setdefault(_words(state), []).append(task)
    return {words: names for words, names in found.items() if names}


def _by_group(late: Mapping[str, States]) -> list[str]:
    """Each group with its unfinished tasks; what many of them wait for is named once."""
    counts = Counter(task for tasks in late.values() for task in tasks)
    many = max(2, min(3, len(late)))
    lines = []
    for task, count in counts.items():
        if count >= many:
            state = next(tasks[task] for tasks in late.values() if task in tasks)
            which = "all" if count == len(late) else str(count)
            lines.append(f"before {which} of them: {_described({task: state})}")
    for name, tasks in late.items():
        own = {task: state for task, state in tasks.items() if counts[task] < many}
        lines.append(f"{name}: {_described(own)}" if own else name)
    return lines


def _described(tasks: States) -> str:
    begun = [f"{task} ({_words(state)})" for task, state in tasks.items() if state is not None]
    waiting = [task for task, state in tasks.items() if state is None]
    named = [f"{task} (not started)" for task in waiting[:_NAMED]]
    more = [f"and {len(waiting) - _NAMED} more (not started)"] if len(waiting) > _NAMED else []
    return ", ".join([*begun, *named, *more])


def _whereabouts(active: Mapping[str, Sequence[str]], states: States) -> str:
    if active:
        at = ", ".join(f"{_few(names)} ({words})" for words, names in active.items())
        return f"The run is at {at}."
    if any(state is not None for state in states.values()):
        return "No task is running or queued."
    return "The run has not started."


def _remedy(active: Mapping[str, Sequence[str]], states: States) -> str:
    told = [remedy.format(tasks=_few(active[words])) for words, remedy in _REMEDIES.items() if words in active]
    if told:
        return " ".join(told)
    return _NOTHING_NEXT if any(state is not None for state in states.values()) else _NOTHING_BEGAN


def _few(names: Sequence[str]) -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{', '.join(names[:2])} and {len(names) - 2} more"
