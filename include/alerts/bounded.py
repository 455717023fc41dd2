"""Work that may not take longer than it is given: what does not come back is left behind."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from asgiref.sync import SyncToAsync

_Result = TypeVar("_Result")


class GaveUpWaiting(TimeoutError):
    """The work was not done in time. It goes on behind our back, until the process ends."""


def within(seconds: float, work: Callable[[], _Result], *, called: str) -> _Result:
    """What some work returns or raises, if it does so in time.

    A thread of its own does it, because no time-out of a library covers every way to hang: a server that takes the
    connection and is silent, a name that resolves for ever, a retry of a retry.

    :param seconds: how long it may take.
    :param work: what to do.
    :param called: what it is, for the thread's name.
    :raises GaveUpWaiting: when it is not done by then.
    """
    outcome: dict[str, Any] = {}
    # In the triggerer, whoever asks Airflow for a connection does so through the event loop, which such a thread knows
    # by what asgiref keeps for each thread. Without it, two would read from one pipe, and all of its triggers end.
    loop = dict(vars(SyncToAsync.threadlocal))

    def do() -> None:
        vars(SyncToAsync.threadlocal).update(loop)
        try:
            outcome["result"] = work()
        except BaseException as problem:  # noqa: BLE001 - raised again in the thread that waits
            outcome["problem"] = problem

    thread = threading.Thread(target=contextvars.copy_context().run, args=(do,), name=called, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise GaveUpWaiting(f"no answer within {seconds:g} s")
    if "problem" in outcome:
        raise outcome["problem"]
    return outcome["result"]
