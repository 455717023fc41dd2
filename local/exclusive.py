"""One process at a time may own a laptop lake: two replays over one folder would run through each other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LakeInUse(RuntimeError):
    """Another process owns the lake. The message names it."""


@contextmanager
def only_one(root: Path, *, purpose: str) -> Iterator[None]:
    """Own a folder until the block ends, or the process dies.

    :param root: the folder that holds the lake.
    :param purpose: what the owner does, for the message to others.
    :raises LakeInUse: if somebody owns it.
    """
    root.mkdir(parents=True, exist_ok=True)
    path = root / "in-use.lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            remedy = "Stop it with `make down`." if "make up" in owner else "Wait for it to end, or press Ctrl-C there."
            raise LakeInUse(f"{owner} is using {root.name}/. {remedy}") from None
        lock.truncate(0)
        lock.write(f"{purpose} (process {os.getpid()})")
        lock.flush()
        yield


def is_free(root: Path) -> bool:
    """Whether nobody owns a folder. A process id in a file can lie, because ids are used again; a lock cannot.

    :param root: the folder that holds the lake.
    """
    try:
        with (root / "in-use.lock").open("r", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except BlockingIOError:
        return False
    return True


@contextmanager
def in_turn(lock: Path) -> Iterator[None]:
    """Wait until nobody else is inside the block with this lock, here or in another process.

    :param lock: a file that is made for it.
    """
    with lock.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
