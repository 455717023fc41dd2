"""The trigger behind a wait for one's turn: wakes once another run has ended, or has given its turn back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from include.lake.holder import run_of_holder

#: States of a run that holds its turn. One that was cleared and is queued waits for whoever runs, not the other way.
GOES_ON = ["running"]
#: Task of the upkeep, in the group of each object, that gives the turn back long before its run ends.
GIVE_BACK = "give_back_turn"


class RunEndedTrigger(BaseTrigger):
    """Waits until a run is running no more: it has ended, was cleared, or was deleted.

    Airflow's own DagStateTrigger waits for a state to come, and so for ever for a run that somebody has deleted.

    :param dag_id: id of the DAG.
    :param run_id: the run; None: every run of the DAG.
    :param poll_interval: seconds between two looks.
    :param until_task: a task whose success is enough, though the run goes on.
    """

    def __init__(self, *, dag_id: str, run_id: str | None, poll_interval: float, until_task: str | None = None) -> None:
        super().__init__()
        self.dag_id, self.run_id, self.poll_interval, self.until_task = dag_id, run_id, poll_interval, until_task

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        names = ("dag_id", "run_id", "poll_interval", "until_task")
        arguments = {name: getattr(self, name) for name in names}
        return "salesforce_history.run_ended.RunEndedTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until it has ended."""
        while await sync_to_async(goes_on)(self.dag_id, self.run_id, until_task=self.until_task):
            await asyncio.sleep(self.poll_interval)
        yield TriggerEvent(self.run_id)


def holder_goes_on(dag_id: str, holder: str) -> bool:
    """Whether the run is running that holds a turn.

    :param dag_id: the object's own DAG.
    :param holder: what the turn says.
    """
    return goes_on(*run_of_holder(holder, dag_id=dag_id))


def goes_on(dag_id: str, run_id: str | None = None, *, until_task: str | None = None) -> bool:
    """Whether a run is running. May be asked by a task and by a trigger.

    :param dag_id: id of the DAG.
    :param run_id: the run; None: any run of the DAG.
    :param until_task: a task of it that has not succeeded yet; None: it does not matter.
    """
    run_ids = None if run_id is None else [run_id]
    if RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=run_ids, states=GOES_ON) == 0:
        return False
    if until_task is None:
        return True
    succeeded = RuntimeTaskInstance.get_ti_count(
        dag_id=dag_id, task_ids=[until_task], run_ids=run_ids, states=["success"]
    )
    return succeeded == 0
