"""The callback of every deadline.

Airflow imports it wherever a run is made, the scheduler and the API server included, in the middle of a transaction. So
this module imports nothing that takes time: on SQLite, nobody else could write meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async

log = logging.getLogger(__name__)

#: Seconds until the states are asked for again, where Airflow does not answer. After the last one it is an error.
PAUSES = (5.0, 20.0, 60.0)


async def tell_if_late(*, context: Mapping[str, Any], **watch: Any) -> str:
    """Look whether the deadline's tasks are done, and tell of it only if they are not. Runs in the triggerer.

    :param context: Airflow's: the run, as it was when its deadline passed.
    :param watch: the fields of a `Watch`.
    :return: what was done, for Airflow's table of callbacks.
    """
    # All of it blocks (imports, Airflow's API, a channel's network), so none of it may hold up the triggerer's event
    # loop; nor the one thread that thread-sensitive calls share, where a slow channel would hold up every trigger. The
    # pauses are the loop's: the other threads are few, and everybody's too.
    look = sync_to_async(_look, thread_sensitive=False)
    return await look(watch, context["dag_run"], await _ask(context["dag_run"]))


async def _ask(dag_run: Mapping[str, Any]) -> Any:
    read = sync_to_async(_read, thread_sensitive=False)
    for pause in PAUSES:
        try:
            return await read(dag_run)
        except Exception:
            # A deadline passes once. Whatever keeps Airflow from answering, somebody may be waiting for this.
            names = (dag_run["dag_id"], dag_run["dag_run_id"])
            log.exception("%s %s: Airflow did not say what its tasks do; asking again in %s s", *names, pause)
            await asyncio.sleep(pause)
    return await read(dag_run)


def _read(dag_run: Mapping[str, Any]) -> Any:
    from salesforce_history.alerts.late_runs import read_run

    return read_run(dag_run["dag_id"], dag_run["dag_run_id"])


def _look(watch: Mapping[str, Any], dag_run: Mapping[str, Any], found: Any) -> str:
    from salesforce_history.alerts.late_runs import look

    return look(watch, dag_run, found)
