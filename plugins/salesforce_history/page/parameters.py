"""What a request may ask for: every parameter by name, with what is allowed in words."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

from fastapi import Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from include.page.answers import BadRequest
from include.page.cursor import LONGEST

_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)
_A_MOMENT = "a date such as 2026-01-31, or a date and time such as 2026-01-31T06:00:00Z (UTC unless it says otherwise)"
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(4000, 1, 1, tzinfo=UTC)
#: Parameter → what is allowed.
ALLOWED = {
    "q": "a text of at most 200 characters",
    "page": "what an answer had in `next`",
    "limit": "a whole number from 1 to 500",
    "since": _A_MOMENT,
    "until": _A_MOMENT,
    "field": "a column name",
    "from": "a value of at most 1,000 characters; nothing stands for no value",
    "to": "a value of at most 1,000 characters; nothing stands for no value",
    "reason": "a reason that the quarantine lists",
    "state": "a state that the quarantine lists",
    "noun": "an object's name in lower case, such as user",
    "identity": "a Salesforce Id of 15 or 18 letters and digits",
}


def _is_moment(value: str) -> str:
    if not _MOMENT.fullmatch(value):
        raise ValueError(_A_MOMENT)
    try:
        within = _FIRST <= _read(value) < _LAST
    except OverflowError:  # the year 0, once it is told in UTC
        within = False
    if not within:
        raise ValueError(_A_MOMENT)
    return value


def _read(value: str) -> datetime:
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


Noun = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,79}$")]
Identity = Annotated[str, Path(pattern=r"^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$")]
Moment = Annotated[str, AfterValidator(_is_moment)]


class _Asked(BaseModel):
    """A misspelt parameter is refused: ignored, it would give the answer to another question."""

    model_config = ConfigDict(extra="forbid")


class _Paged(_Asked):
    page: str | None = Field(default=None, min_length=1, max_length=LONGEST)
    limit: int = Field(default=50, ge=1, le=500)


class RecordsAsked(_Paged):
    """Of a search."""

    q: str = Field(default="", max_length=200)


class ObservationsAsked(_Asked):
    """Of more observations."""

    page: str = Field(min_length=1, max_length=LONGEST)


class NothingAsked(_Asked):
    """Of an answer that has no parameters."""


class PeriodAsked(_Asked):
    """Of changes, all of them."""

    since: Moment | None = None
    until: Moment | None = None
    field: str | None = Field(default=None, max_length=80)
    before: str | None = Field(default=None, max_length=1000, alias="from")
    after: str | None = Field(default=None, max_length=1000, alias="to")

    @property
    def begins(self) -> datetime | None:
        """The first moment of the period."""
        return None if self.since is None else _read(self.since)

    @property
    def ends(self) -> datetime | None:
        """The first moment after it: a date is meant with all of its day."""
        if self.until is None:
            return None
        if len(self.until) == len("2026-01-31"):
            day = date.fromisoformat(self.until) + timedelta(days=1)
            return datetime.combine(day, time(), tzinfo=UTC)
        return _read(self.until)


class ChangesAsked(PeriodAsked, _Paged):
    """Of changes, a page of them."""


class QuarantineAsked(_Paged):
    """Of the quarantine."""

    reason: str | None = Field(default=None, max_length=500)
    state: str | None = Field(default=None, max_length=80)


RecordsQuery = Annotated[RecordsAsked, Query()]
ObservationsQuery = Annotated[ObservationsAsked, Query()]
NoQuery = Annotated[NothingAsked, Query()]
PeriodQuery = Annotated[PeriodAsked, Query()]
ChangesQuery = Annotated[ChangesAsked, Query()]
QuarantineQuery = Annotated[QuarantineAsked, Query()]


def as_bad_request(problem: RequestValidationError) -> BadRequest:
    """What FastAPI refuses, in the page's words.

    :param problem: as FastAPI raises it.
    """
    return BadRequest(
        "; ".join(_line(one) for one in problem.errors()), remedy="Correct the address, or open the view anew."
    )


def _line(one: Any) -> str:
    name = str(one["loc"][-1])
    if one["type"] == "extra_forbidden":
        return f"there is no parameter {name!r:.80} here"
    if one["type"] == "missing":
        return f"{name} is missing: allowed is {ALLOWED.get(name, one['msg'])}"
    return f"{name} is {one.get('input')!r:.120}: allowed is {ALLOWED.get(name, one['msg'])}"
