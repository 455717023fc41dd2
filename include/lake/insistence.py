"""An erasure does not give way: where another writer commits in between, the table is tried again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from include.lake.conflicts import again, is_conflict
from include.lake.erasure_report import ErasureContended

_T = TypeVar("_T")


def insist(act: Callable[[], _T], *, table: str, attempts: int, dag_id: str) -> _T:
    """Do something to a table until nobody comes in between.

    :param act: it loads the table and commits to it, and may be called again from its beginning.
    :param table: its name, for the error.
    :param attempts: how often it is called at most.
    :param dag_id: the DAG whose runs write to the table.
    :return: what it returns.
    :raises ErasureContended: when every attempt met another writer's commit.
    """
    try:
        return again(_overtaken, attempts=attempts)(act)()
    except Exception as conflict:
        if not _overtaken(conflict):
            raise
        raise ErasureContended(
            f"{table}: other writers committed during each of {attempts} attempts; the last conflict: "
            f"{conflict}. The erasure is recorded, so nothing comes back; what is still there goes when "
            f"you ask again. Let the other runs of {dag_id} end first."
        ) from conflict


def _overtaken(problem: BaseException) -> bool:
    # A file is gone where another erasure has deleted what was there when the table was loaded.
    return is_conflict(problem) or isinstance(problem, FileNotFoundError)
