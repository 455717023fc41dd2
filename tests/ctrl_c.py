"""Ctrl-C for processes of tests that run in the background, where a shell has it ignored, and all that is started."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def children_hear_ctrl_c() -> Iterator[None]:
    """What is started inside hears it."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
