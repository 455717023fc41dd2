"""When a task worked, noted in XCom for the row of its run: Airflow tells a task nothing of when the others did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from airflow.sdk import Context

#: XCom key: when the task's last attempt began, and when it ended.
WORKED = "worked"


@contextmanager
def timed(context: Context) -> Iterator[None]:
    """Note when the work inside began and ended, well or not. A deferral is no end.

    :param context: the task's.
    """
    began = datetime.now(UTC)
    try:
        yield
    except Exception:
        _note(context, began)
        raise
    _note(context, began)


def _note(context: Context, began: datetime) -> None:
    context["ti"].xcom_push(key=WORKED, value=[began.isoformat(), datetime.now(UTC).isoformat()])
