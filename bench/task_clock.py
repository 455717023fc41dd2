"""An Airflow plugin that notes when each task's process began, was ready, and was done, and its CPU time at each.

`make bench` gives it to the Airflow that it starts: a file of its own in the plugins folder. Lines of JSON go to the
file that BENCH_TASK_CLOCK names.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

_task: dict[str, Any] = {}


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:  # noqa: ARG001 - Airflow's signature
    """The DAG is parsed, and the task's work begins."""
    _task.update(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        began=psutil.Process().create_time(),
        ready=time.time(),
        cpu_ready=_cpu(),
    )


@hookimpl
def before_stopping(component: Any) -> None:  # noqa: ARG001 - Airflow's signature
    """The task has ended, well or not, or waits."""
    if _task:
        with Path(os.environ["BENCH_TASK_CLOCK"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps({**_task, "done": time.time(), "cpu_done": _cpu()}) + "\n")


class TaskClock(AirflowPlugin):
    """Hands the hooks of this module to Airflow."""

    name = "bench_task_clock"
    listeners = [sys.modules[__name__]]  # noqa: RUF012 - as Airflow wants it


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
