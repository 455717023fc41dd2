"""Which failures of a run the rebuild of the history makes good, and which are left."""

from __future__ import annotations

from collections.abc import Mapping


def can_be_rebuilt(task_id: str) -> bool:
    """Whether a rebuild of the history makes a failed task good: every dbt model and test, but not a snapshot.

    :param task_id: a task of the Cosmos group.
    """
    return "snapshot" not in task_id


def failed_for_good(states: Mapping[str, str | None], *, dbt_group: str, rebuild: str) -> list[str]:
    """The tasks of a run that failed and that no rebuild has made good, in the order of `states`.

    :param states: task id → state.
    :param dbt_group: id of the Cosmos group.
    :param rebuild: task id of the rebuild.
    """
    failed = [task for task, state in states.items() if state == "failed"]
    if states.get(rebuild) != "success":
        return failed
    return [task for task in failed if not (task.startswith(f"{dbt_group}.") and can_be_rebuilt(task))]
