"""`airflow scheduler` and `airflow dag-processor` with what tasks and DAG files import already imported.

Each task and each parse of a DAG file is a process of its own, forked from one of these two. What the parent has
imported the child need not, which is seconds of each task. Only packages of others: an edit of this project is seen by
the next task, as ever. On a laptop only; elsewhere Airflow is started by whoever runs it.
"""

from __future__ import annotations

import importlib
import logging
import sys

log = logging.getLogger(__name__)

#: What drawing a DAG needs.
_DRAWING = (
    "cosmos.operators.local",
    "cosmos.operators.watcher",
    "cosmos.airflow.task_group",
    "cosmos.plugin.airflow3",
    "airflow.providers.standard.triggers.temporal",
    "airflow.triggers.base",
    "asgiref.sync",
    "croniter",
    "pydantic",
    "yaml",
)
#: What the work of a task needs besides: the lake, the org, dbt.
_WORKING = (
    "airflow.providers.apache.iceberg.hooks.iceberg",
    "airflow.providers.salesforce.hooks.salesforce",
    "airflow.sdk.execution_time.task_runner",
    "dbt.adapters.duckdb",
    "dbt.cli.main",
    "duckdb",
    "pandas",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "pyiceberg.catalog.sql",
    "pyiceberg.io.pyarrow",
    "simple_salesforce",
    "tenacity",
)
_MODULES = {"dag-processor": _DRAWING, "scheduler": (*_DRAWING, *_WORKING)}


def preload(part: str) -> None:
    """Import what the children of a part of Airflow will need. What is not there is left to them.

    :param part: `scheduler` or `dag-processor`.
    """
    for name in _MODULES[part]:
        try:
            importlib.import_module(name)
        except Exception:
            log.warning("%s was not imported beforehand", name, exc_info=True)


def main() -> None:
    """`python -m local.preloaded scheduler …`: as `airflow scheduler …`."""
    # Airflow first, and whole: some of these import it, and it them.
    from airflow.__main__ import main as airflow
    from airflow.sdk.listener import get_listener_manager

    preload(sys.argv[1])
    # Looks through all installed packages for plugins; a task would do so itself.
    get_listener_manager()
    airflow()


if __name__ == "__main__":
    main()
