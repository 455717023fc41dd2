"""API calls: counted in a rolling window of 24 hours of the org's clock, against a daily limit."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from local.org.database import Database

DEFAULT_MAXIMUM = 100_000
_DAY = 24 * 3600


class Usage:
    """Counts API calls.

    :param database: where the counts are kept across restarts.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        kept = database.get("usage", {})
        self.maximum: int = kept.get("maximum", DEFAULT_MAXIMUM)
        self._calls: Counter[int] = Counter({int(at): calls for at, calls in kept.get("calls", {}).items()})
        self._resources: Counter[str] = Counter(kept.get("resources", {}))

    def count(self, resource: str, *, at: int) -> None:
        """Count one call.

        :param resource: what was called, e.g. ``query``.
        :param at: the org's time, in seconds since 1970.
        """
        with self._lock:
            self._calls[at] += 1
            self._resources[resource] += 1

    def used(self, *, at: int) -> int:
        """Return the calls of the 24 hours before a moment.

        :param at: the org's time, in seconds since 1970.
        """
        with self._lock:
            for moment in [moment for moment in self._calls if not at - _DAY < moment <= at]:
                del self._calls[moment]
            return sum(self._calls.values())

    def set(self, *, at: int, used: int | None = None, maximum: int | None = None) -> None:
        """Set the calls used so far, or the daily limit; None leaves it.

        :param at: the org's time, in seconds since 1970.
        :param used: calls used within the last 24 hours.
        :param maximum: calls allowed within 24 hours.
        """
        with self._lock:
            if used is not None:
                self._calls = Counter({at: used})
            if maximum is not None:
                self.maximum = maximum
        self.save()

    def by_resource(self) -> dict[str, int]:
        """Return all calls ever made, by what was called."""
        with self._lock:
            return dict(sorted(self._resources.items()))

    def save(self) -> None:
        """Keep the counts."""
        with self._lock:
            kept: dict[str, Any] = {
                "maximum": self.maximum,
                "calls": {str(at): calls for at, calls in self._calls.items()},
                "resources": dict(self._resources),
            }
        self._database.put("usage", kept)
