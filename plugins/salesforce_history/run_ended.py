"""The trigger behind take_turn: wakes once another run of the DAG has ended, whatever became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from include.lake.turn import run_of_holder

#: States of a run that holds its turn. One that was cleared and is queued waits for whoever runs, not the other way.
GOES_ON = ["running"]


class RunEndedTrigger(BaseTrigger):
    """Waits until a run is running no more: it has ended, was cleared, or was deleted.

    Airflow's own DagStateTrigger waits for a state to come, and so for ever for a run that somebody has deleted.

    :param dag_id: id of the DAG.
    :param run_id: the run.
    :param poll_interval: seconds between two looks.
    """

    def __init__(self, *, dag_id: str, run_id: str, poll_interval: float) -> None:
        super().__init__()
        self.dag_id, self.run_id, self.poll_interval = dag_id, run_id, poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How the triggerer makes it again."""
        arguments = {"dag_id": self.dag_id, "run_id": self.run_id, "poll_interval": self.poll_interval}
        return "salesforce_history.run_ended.RunEndedTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until it has ended."""
        while await sync_to_async(goes_on)(self.dag_id, self.run_id):
            await asyncio.sleep(self.poll_interval)
        yield TriggerEvent(self.run_id)


def holder_goes_on(dag_id: str, holder: str) -> bool:
    """Whether the run is running that holds a turn.

    :param dag_id: the object's own DAG.
    :param holder: what the turn says.
    """
    return goes_on(*run_of_holder(holder, dag_id=dag_id))


def goes_on(dag_id: str, run_id: str) -> bool:
    """Whether a run is running. May be asked by a task and by a trigger.

    :param dag_id: id of the DAG.
    :param run_id: the run.
    """
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=[run_id], states=GOES_ON) > 0
