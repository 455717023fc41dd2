"""What a person sees while a run goes on: Airflow's own output goes to a log file, one line a task to the terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance


@contextmanager
def output_to(log: Path) -> Iterator[Console]:
    """Send this process's stdout and stderr to a file, and yield a console that still reaches the terminal.

    :param log: file to append to; its folder is made.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    with log.open("ab") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
    try:
        with os.fdopen(os.dup(terminal), "w", encoding="utf-8") as out:
            # Where output goes to a file or a pipe nothing says how wide it is.
            width = None if out.isatty() else 140
            yield Console(file=out, highlight=False, width=width)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(terminal, 1)
        os.dup2(errors, 2)
        os.close(terminal)
        os.close(errors)


class TaskLines:
    """An Airflow listener that prints a line when a task ends, and remembers what failed.

    :param console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.failures: list[tuple[str, str]] = []
        self._started: dict[str, float] = {}

    def started(self, task: RuntimeTaskInstance) -> None:
        """A task has begun."""
        self._started[task.task_id] = time.monotonic()

    def ended(self, task: RuntimeTaskInstance, state: str, error: Any = None) -> None:
        """A task has ended.

        :param state: success, failed or skipped.
        :param error: what it failed with.
        """
        seconds = time.monotonic() - self._started.pop(task.task_id, time.monotonic())
        mark = {"success": "[green]✓[/]", "failed": "[red]✗[/]"}.get(state, "[dim]–[/]")
        self.console.print(f"    {mark} {task.task_id:<58}[dim]{seconds:6.1f} s[/]")
        if error is not None:
            self.failures.append((task.task_id, str(error)))
