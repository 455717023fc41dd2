"""Waiting for what other processes do, and saying what they said where it did not come."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

#: How long anything may take before a test gives up on it, seconds.
PATIENCE = 300.0


def wait_for(
    look: Callable[[], Any],
    what: str,
    *,
    alive: Callable[[], bool] = lambda: True,
    log: Path | None = None,
    told: Callable[[], object] = str,
) -> Any:
    """The first truth that `look` answers.

    :param what: what is waited for, for the message.
    :param alive: whether those who bring it about still run; nothing is waited for without them.
    :param log: theirs; its end is part of the message.
    :param told: what else to tell.
    :raises AssertionError: if it does not come.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and alive():
        if found := look():
            return found
        time.sleep(0.5)
    why = f"within {PATIENCE:.0f} s" if alive() else "because a process ended"
    tail = f"\nits log ends\n{log.read_text()[-4000:]}" if log else ""
    raise AssertionError(f"not come: {what}, {why}; {told()}{tail}")
