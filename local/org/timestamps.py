"""Datetimes as Salesforce has them: UTC, whole seconds; held as integer seconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALLOWED = "a datetime with its zone, such as 2026-01-05T06:00:00Z or 2026-01-05T08:00:00+02:00"

_PATTERN = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):?(\d\d))", re.ASCII)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def parse_exact(text: str) -> Fraction:
    """Parse an ISO 8601 datetime with its zone.

    :param text: the datetime, e.g. ``2026-01-05T06:00:00.5+02:00``.
    :returns: seconds since 1970-01-01T00:00:00Z, fractions kept.
    :raises ValueError: if it is no datetime, has no zone, or does not exist.
    """
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not {ALLOWED}")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a datetime that exists ({error})") from None
    seconds = Fraction((moment - EPOCH) // timedelta(seconds=1))
    if found[7]:
        seconds += Fraction("0" + found[7])
    if found[8]:
        if int(found[9]) > 14 or int(found[10]) > 59:
            raise ValueError(f"{text!r} has an impossible zone; allowed is {ALLOWED}")
        offset = 3600 * int(found[9]) + 60 * int(found[10])
        seconds -= offset if found[8] == "+" else -offset
    return seconds


@lru_cache(maxsize=65536)
def parse(text: str) -> int:
    """Parse an ISO 8601 datetime with its zone and no part of a second.

    :param text: the datetime.
    :returns: seconds since 1970-01-01T00:00:00Z.
    :raises ValueError: if it is no such datetime, or Salesforce could not hold it.
    """
    exact = parse_exact(text)
    if exact.denominator != 1:
        raise ValueError(f"{text!r} has parts of a second; Salesforce keeps whole seconds")
    seconds = int(exact)
    try:
        moment(seconds)
    except OverflowError:
        raise ValueError(f"{text!r} lies outside the years 0001 to 9999 in UTC") from None
    return seconds


def parse_date(text: str) -> str:
    """Check a calendar date.

    :param text: the date, ``YYYY-MM-DD``.
    :returns: the same text.
    :raises ValueError: if it is no date.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError(f"{text!r} is not a date such as 2026-01-05")
    return date.fromisoformat(text).isoformat()


def moment(seconds: int) -> datetime:
    """Return the datetime (UTC) of seconds since 1970.

    :param seconds: seconds since 1970-01-01T00:00:00Z.
    """
    return EPOCH + timedelta(seconds=seconds)


def seconds_of(value: datetime) -> int:
    """Return the whole seconds since 1970 of an aware datetime; parts of a second are cut off.

    :param value: a datetime with its zone.
    :raises ValueError: if it has no zone.
    """
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; give an aware datetime, e.g. with tzinfo=datetime.UTC")
    return (value - EPOCH) // timedelta(seconds=1)


@lru_cache(maxsize=65536)
def iso(seconds: int) -> str:
    """Return ``2026-01-05T06:00:00Z``.

    :param seconds: seconds since 1970.
    """
    return moment(seconds).replace(tzinfo=None).isoformat() + "Z"


@lru_cache(maxsize=65536)
def rest(seconds: int) -> str:
    """Return ``2026-01-05T06:00:00.000+0000``, as the REST API writes datetimes.

    :param seconds: seconds since 1970.
    """
    return moment(seconds).replace(tzinfo=None).isoformat() + ".000+0000"


@lru_cache(maxsize=65536)
def bulk(seconds: int) -> str:
    """Return ``2026-01-05T06:00:00.000Z``, as Bulk API 2.0 writes datetimes.

    :param seconds: seconds since 1970.
    """
    return moment(seconds).replace(tzinfo=None).isoformat() + ".000Z"


def http_date(seconds: int) -> str:
    """Return the form that HTTP's Date header has, e.g. ``Mon, 05 Jan 2026 06:00:00 GMT``.

    :param seconds: seconds since 1970.
    """
    at = moment(seconds)
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at.year:04d} "
        f"{at.hour:02d}:{at.minute:02d}:{at.second:02d} GMT"
    )
