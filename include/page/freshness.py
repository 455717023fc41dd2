"""Is what readers see as new as it should be? By the rule of docs/metrics.md: not older than two schedule intervals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Literal

from croniter import croniter

#: Intervals of the schedule that may lie between two looks: the same as the alarm on FreshnessSeconds.
INTERVALS = 2
#: Firings that are looked at for the longest interval: a schedule of working days has its week-end among them.
_FIRINGS = 15


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """How old the published data is.

    :param state: `empty`: nothing has been published.
    :param age: since the watermark; None where there is none.
    :param allowed: the most that counts as fresh.
    :param watermark: up to when readers see every change.
    """

    state: Literal["fresh", "late", "empty"]
    age: timedelta | None
    allowed: timedelta
    watermark: datetime | None

    @property
    def late_by(self) -> timedelta | None:
        """By how much it is too old; None where it is not."""
        return self.age - self.allowed if self.state == "late" and self.age is not None else None


def freshness(*, watermark: datetime | None, cron: str, now: datetime) -> Freshness:
    """Judge a watermark.

    :param watermark: the newest that a published run had; None: there was none.
    :param cron: the object's schedule.
    :param now: with a time zone.
    """
    allowed = INTERVALS * longest_interval(cron, now)
    if watermark is None:
        return Freshness(state="empty", age=None, allowed=allowed, watermark=None)
    age = max(now - watermark, timedelta(0))
    return Freshness(state="fresh" if age <= allowed else "late", age=age, allowed=allowed, watermark=watermark)


def longest_interval(cron: str, now: datetime) -> timedelta:
    """The longest time between two of the schedule's next firings.

    :param cron: five parts, UTC.
    :param now: with a time zone.
    """
    clock = croniter(cron, now)
    firings = [clock.get_next(datetime) for _ in range(_FIRINGS)]
    return max(later - earlier for earlier, later in pairwise(firings))
