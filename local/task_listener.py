"""The hooks by which Airflow tells `TaskLines` what happens."""

from __future__ import annotations

from typing import Any

from airflow.listeners import hookimpl

from local.progress import TaskLines


class TaskListener:
    """Hands Airflow's task events on.

    :param lines: who prints them.
    """

    def __init__(self, lines: TaskLines) -> None:
        self.lines = lines

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """A task has begun."""
        self.lines.started(task_instance)

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """A task has succeeded."""
        self.lines.ended(task_instance, "success")

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """A task was skipped."""
        self.lines.ended(task_instance, "skipped")

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        """A task has failed, for good or until its retry."""
        self.lines.ended(task_instance, "failed", error)
