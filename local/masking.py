"""Keeps Airflow from logging the very secrets that it is told to mask.

`dag.test` hands a task's messages to Airflow inside this process and logs each of them at DEBUG, the one that says
which value is secret included. A worker's supervisor leaves that one out; here it is left out likewise.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

import structlog


def hide_what_is_masked() -> None:
    """Drop log lines that carry a request to mask something; call it once Airflow has set its logging up."""
    configured = structlog.get_config()["processors"]
    if _without_secrets not in configured:
        structlog.configure(processors=[_without_secrets, *configured])


def _without_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if type(event.get("msg")).__name__ == "MaskSecret":
        raise structlog.DropEvent
    return event
