"""What the DAGs have in common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from include.config.environment import Environment

OWNER = "data-platform"

#: Catchup is off: the watermark, not the calendar, decides where a run begins. Only `backfill create` looks back here.
FIRST_INTERVAL = datetime(2020, 1, 1, tzinfo=UTC)


def task_defaults(environment: Environment) -> dict[str, Any]:
    """`default_args` of a DAG whose tasks can be tried again.

    :param environment: it says how long the first retry waits.
    """
    return {
        "owner": OWNER,
        "retries": 2,
        "retry_delay": timedelta(seconds=environment.retry_delay_seconds),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=30),
    }
