"""What a task notes about itself in XCom, for the row of its run: when it worked, and what stopped it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.lake.run_log import one_line

#: XCom key: when the task's last attempt began and ended.
WORKED = "worked"
#: XCom key: why the last attempt failed, in one line.
PROBLEM = "problem"


@contextmanager
def noted(context: Context, *, fit_to_tell: tuple[type[Exception], ...]) -> Iterator[None]:
    """Note when the work inside began and ended, or what stopped it. A deferral is neither.

    :param fit_to_tell: errors whose message was made for people and holds no secret; of others the class is told.
    """
    began = datetime.now(UTC)
    try:
        yield
    except AirflowSkipException:
        raise
    except Exception as problem:
        told = str(problem) if isinstance(problem, (AirflowFailException, *fit_to_tell)) else type(problem).__name__
        context["ti"].xcom_push(key=PROBLEM, value=one_line(told))
        raise
    context["ti"].xcom_push(key=WORKED, value=[began.isoformat(), datetime.now(UTC).isoformat()])
