"""From dbt's report of an invocation to the row of a run.

Cosmos calls back after every dbt command, a failed one too, in each of its execution modes: LOCAL runs one a task, with
dbt in this process or in another; WATCHER runs one a run, in its producer, and one more in each watching task that is
tried again. The callback keeps what dbt reported in the XCom of the task that ran it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from airflow.sdk import Context

from include.quality.dbt_tests import DbtResults, merge_results, read_results

log = logging.getLogger(__name__)

#: XCom key of a task that ran dbt: `failed` and `warned` (names of tests), `passed` (how many), `seconds` by model.
DBT_RESULTS = "dbt_results"


def keep_dbt_results(project_dir: str, *, context: Context, **_: Any) -> None:
    """Cosmos's `callback`: keep what dbt reported. A report that cannot be read does not fail the task.

    :param project_dir: the folder in which dbt ran.
    :param context: the task's.
    """
    try:
        if (results := read_results(Path(project_dir))) is not None:
            context["ti"].xcom_push(key=DBT_RESULTS, value=results.as_xcom())
    except Exception as problem:  # noqa: BLE001 dbt has done its work, and its exit code says how it went
        log.warning("what dbt reported is not on record: %s", problem)


def dbt_results_of_run(context: Context, task_ids: Iterable[str]) -> DbtResults | None:
    """What dbt reported in a run, all its invocations together; None where it did not run.

    :param context: of a task of that run.
    :param task_ids: the tasks that may have run dbt.
    """
    pull = context["ti"].xcom_pull
    told = (pull(task_ids=task_id, key=DBT_RESULTS) for task_id in task_ids)
    return merge_results(DbtResults.model_validate(one) for one in told if one)
