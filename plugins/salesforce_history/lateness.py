"""The callback of every deadline.

Airflow imports it wherever a run is made, the scheduler and the API server included, in the middle of a transaction. So
this module imports nothing that takes time: on SQLite, nobody else could write meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async


async def tell_if_late(*, context: Mapping[str, Any], **watch: Any) -> str:
    """Look whether the deadline's tasks are done, and tell of it only if they are not. Runs in the triggerer.

    :param context: Airflow's: the run, as it was when its deadline passed.
    :param watch: the fields of a `Watch`.
    :return: what was done, for Airflow's table of callbacks.
    """
    # All of it blocks (imports, Airflow's API, a channel's network), so none of it may hold up the triggerer's event
    # loop; nor the one thread that thread-sensitive calls share, where a slow channel would hold up every trigger.
    return await sync_to_async(_look, thread_sensitive=False)(watch, context["dag_run"])


def _look(watch: Mapping[str, Any], dag_run: Mapping[str, Any]) -> str:
    from salesforce_history.late_runs import look  # noqa: PLC0415 - it needs the providers of every channel

    return look(watch, dag_run)
