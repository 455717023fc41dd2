"""Durations as people write them in YAML: `90s`, `30m`, `1h`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

LONGEST = timedelta(days=3650)
_WRITTEN = re.compile(r"([0-9]{1,9}) ?(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_ALLOWED = f"a duration is a whole number and a unit, at most {LONGEST.days}d: 90s, 30m, 1h or 7d"


def read_duration(value: Any) -> Any:
    """What a person wrote as a span of time.

    :param value: from a file, or a timedelta already.
    :raises ValueError: saying what is allowed.
    """
    if isinstance(value, timedelta):
        return value
    matched = _WRITTEN.fullmatch(value.strip()) if isinstance(value, str) else None
    if not matched:
        raise ValueError(_ALLOWED)
    seconds = int(matched[1]) * _SECONDS[matched[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"a duration is at most {LONGEST.days}d")
    return timedelta(seconds=seconds)


def write_duration(span: timedelta) -> str:
    """A span of time as a person reads it: `1 h 30 min`, `45 s`; to the second, never negative.

    :param span: how long.
    """
    seconds = max(0, round(span.total_seconds()))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _longer_than_nothing(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing, for example 30m")
    return value


#: A span of time that may be nothing.
Duration = Annotated[timedelta, BeforeValidator(read_duration)]
#: A span of time that lasts.
Span = Annotated[timedelta, BeforeValidator(read_duration), AfterValidator(_longer_than_nothing)]
