"""A run that ended without its last task, because it took too long: its row in `sf_ops.pipeline_runs` says so much."""

from __future__ import annotations

import logging

from include.alerts.bounded import within
from include.alerts.wording import one_line, without_ids
from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.run_log import read_run, record_run
from salesforce_history.connections import lake_catalog
from salesforce_history.run_facts import RunFacts

log = logging.getLogger(__name__)

_LAKE_SECONDS = 6.0


def record_if_missing(
    run_id: str, facts: RunFacts, *, error: str, object_file: ObjectFile, environment: Environment
) -> None:
    """Put a failed run on record, unless publish_metrics has. A lake that cannot be reached is only logged.

    :param run_id: Airflow's run id.
    :param facts: what is known of the run.
    :param error: why it failed.
    :param object_file: its object.
    :param environment: names the table.
    """
    start, end = facts.window or (None, None)
    row = {
        "run_id": run_id,
        "object": object_file.object,
        "environment": environment.name,
        "state": "failed",
        "failed_tasks": ", ".join(facts.failed) or None,
        "window_start": start,
        "window_end": end,
        "error": one_line(without_ids(error)),
        **facts.numbers,
    }

    def record() -> None:
        catalog, namespace = lake_catalog(environment.iceberg_conn_id), environment.operations_namespace
        if read_run(catalog, namespace, run_id=run_id, object_name=object_file.object) is None:
            record_run(catalog, namespace, row)

    try:
        within(_LAKE_SECONDS, record, called="run-record")
    except Exception:
        log.warning("run %s is not on record in sf_ops.pipeline_runs", run_id, exc_info=True)
