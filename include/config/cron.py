"""Cron expressions, as every scheduler reads them alike."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from croniter import CroniterBadDateError, croniter

#: What every scheduler reads alike; croniter alone would take R and H too, which mean another time at every look.
_PART = re.compile(r"(?:[0-9*,/-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT)+")


def is_cron(value: str) -> bool:
    """Whether a text is a cron expression of five parts that comes due.

    :param value: as a person wrote it.
    """
    parts = value.split(" ")
    if len(parts) != 5 or not all(_PART.fullmatch(part.upper()) for part in parts) or not croniter.is_valid(value):
        return False
    try:
        croniter(value, datetime(2026, 1, 1, tzinfo=UTC)).get_next()
    except CroniterBadDateError:
        return False
    return True
