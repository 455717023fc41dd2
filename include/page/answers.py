"""How the page's answers are spelled: moments, values, and what went wrong with its remedy."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class PageProblem(Exception):
    """What a person on the page is told instead of an answer.

    :param error: what is wrong; it names the parameter or the object, its value, and what is allowed.
    :param remedy: what to do.
    """

    def __init__(self, error: str, *, remedy: str) -> None:
        super().__init__(error)
        self.error = error
        self.remedy = remedy

    def as_dict(self) -> dict[str, str]:
        """As JSON has it."""
        return {"error": self.error, "remedy": self.remedy}


class BadRequest(PageProblem):
    """A parameter will not do."""


class NotThere(PageProblem):
    """There is no such object, or no such record."""


class LakeUnreachable(PageProblem):
    """The lake, or a part of it, cannot be read now."""


def moment(value: datetime | None) -> str | None:
    """A moment as ISO 8601 in UTC; one without a time zone is UTC, as dbt's columns are.

    :param value: of a table, or None.
    """
    if value is None:
        return None
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.isoformat().replace("+00:00", "Z")


def micros(at: datetime | None) -> int:
    """A moment as microseconds since 1970, UTC: as Parquet holds it, and as arrays do.

    :param at: with a time zone; what has none comes before everything, at 0.
    """
    return 0 if at is None else (at - _EPOCH) // _MICROSECOND


def at_micros(number: int) -> datetime:
    """The moment again.

    :param number: from `micros`.
    """
    return _EPOCH + number * _MICROSECOND


def plain(value: Any) -> Any:
    """A value of a table as JSON has it.

    :param value: a text, number, flag, date, moment or None.
    """
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value != value:  # noqa: PLR0124  (that is what not-a-number is)
        return None
    return value
