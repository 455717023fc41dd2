"""What is done when somebody else's commit comes first: all of it again, a few times."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pyiceberg.exceptions import CommitFailedException, ValidationException
from tenacity import before_sleep_log, retry, retry_if_exception, stop_after_attempt, wait_random_exponential

log = logging.getLogger(__name__)

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def again(
    on: Callable[[BaseException], bool], *, attempts: int = 10
) -> Callable[[Callable[_Arguments, _Result]], Callable[_Arguments, _Result]]:
    """A decorator of a function that may be called again from its beginning.

    :param on: whether an exception is a reason to.
    :param attempts: how often it is called at most.
    """
    return retry(
        retry=retry_if_exception(on),
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        before_sleep=before_sleep_log(log, logging.INFO),
        reraise=True,
    )


def is_conflict(problem: BaseException) -> bool:
    """Whether somebody else's commit came first.

    :param problem: what a commit raised.
    """
    return isinstance(problem, CommitFailedException | ValidationException)


def again_on_conflict(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorate a function that loads a table and commits to it: a conflict means that what it loaded is old.

    :param function: may be called again from its beginning.
    """
    return again(is_conflict)(function)


def again_if_gone(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorate a function that loads tables and reads them: an erasure may delete what was there at loading.

    :param function: may be called again from its beginning.
    """
    return again(lambda problem: isinstance(problem, FileNotFoundError))(function)
