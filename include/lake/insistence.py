"""An erasure does not give way: where another writer commits in between, the table is tried again."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from pyiceberg.exceptions import CommitFailedException, ValidationException

from include.lake.erasure_report import ErasureContended

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_LONGEST_WAIT_SECONDS = 5.0


def insist(act: Callable[[], _T], *, table: str, attempts: int, dag_id: str) -> _T:
    """Do something to a table until nobody comes in between.

    :param act: it loads the table and commits to it, and may be called again from its beginning.
    :param table: its name, for the log and the error.
    :param attempts: how often it is called at most.
    :param dag_id: the DAG whose runs write to the table.
    :return: what it returns.
    :raises ErasureContended: when every attempt met another writer's commit.
    """
    for attempt in range(1, attempts + 1):
        try:
            return act()
        # Another erasure has deleted what was there when the table was loaded.
        except (CommitFailedException, ValidationException, FileNotFoundError) as conflict:
            log.info("%s: attempt %d met another writer: %s", table, attempt, conflict)
            if attempt == attempts:
                raise ErasureContended(
                    f"{table}: other writers committed during each of {attempts} attempts; the last conflict: "
                    f"{conflict}. The erasure is recorded, so nothing comes back; what is still there goes when "
                    f"you ask again. Let the other runs of {dag_id} end first."
                ) from conflict
            time.sleep(random.uniform(0, min(_LONGEST_WAIT_SECONDS, 0.05 * 2**attempt)))  # noqa: S311
    raise ValueError(f"attempts must be at least 1, got {attempts}")
