"""What is done when somebody else's commit comes first: all of it again, a few times."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pyiceberg.exceptions import CommitFailedException, ValidationException
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def again_on_conflict(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorate a function that loads a table and commits to it: a conflict means that what it loaded is old.

    :param function: may be called again from its beginning.
    """
    return retry(
        retry=retry_if_exception_type((CommitFailedException, ValidationException)),
        stop=stop_after_attempt(10),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )(function)


def again_if_gone(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Decorate a function that loads tables and reads them: an erasure may delete what was there at loading.

    :param function: may be called again from its beginning.
    """
    return retry(
        retry=retry_if_exception_type(FileNotFoundError),
        stop=stop_after_attempt(10),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )(function)
