"""What a run reads, what it accepts, and what it does to the lake: log, mirror, watermark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast

from tests.oracle.log_model import Log, Observation
from tests.oracle.shapes import Row, Shape

LOOKBACK = timedelta(hours=1)
WEEK = timedelta(days=7)
MAX_REJECTED = 0.05


class Refused(Exception):
    """A run that must fail and leave the lake as it was."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """The span of cursors [start, end) of a run; a full refresh has no start."""

    start: datetime | None
    end: datetime
    full_refresh: bool = False


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one extraction attempt hands over, validated.

    :param rows: accepted rows, one a record; in a full refresh also those whose cursor is at or after the window's end.
    :param present: Ids of rejected rows: they are in the org.
    :param unread: source columns that the read did not select.
    """

    run_id: str
    extracted_at: datetime
    window: Window
    rows: tuple[Row, ...]
    present: tuple[str, ...] = ()
    unread: frozenset[str] = frozenset()


def cursor_of(row: Row) -> datetime:
    """What windows are cut by."""
    return cast("datetime", row["systemmodstamp"])


def read(seen: Iterable[Row], window: Window) -> list[Row]:
    """Rows that the window's query returns."""
    if window.full_refresh:
        return list(seen)
    lower = window.start
    return [row for row in seen if (lower is None or cursor_of(row) >= lower) and cursor_of(row) < window.end]


def validate(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """Accepted rows, and Ids of those that lack a name.

    :raises Refused: more than 5 % lack one.
    """
    rows = list(rows)
    rejected = [str(row["id"]) for row in rows if row["name"] in (None, "")]
    if len(rejected) > MAX_REJECTED * len(rows):
        raise Refused(f"{len(rejected)} of {len(rows)} rows have no name")
    return [row for row in rows if row["name"] not in (None, "")], rejected


@dataclass
class Lake:
    """What the runs of one object have left."""

    shape: Shape
    log: Log = field(init=False)
    watermark: datetime | None = None
    last_refresh: datetime | None = None
    occurred: Counter[str] = field(default_factory=Counter)
    _delivered: set[tuple[str, datetime]] = field(default_factory=set)
    _newest: datetime | None = None

    def __post_init__(self) -> None:
        self.log = Log(self.shape)

    def window_until(self, end: datetime, *, asked: bool = False) -> Window:
        """Window of a run that nobody gave bounds: from an hour before the watermark.

        :param asked: somebody asked for a full refresh.
        """
        empty = self.watermark is None or not len(self.log)
        due = self.last_refresh is not None and end - self.last_refresh >= WEEK
        if empty or due or asked:
            return Window(start=None, end=end, full_refresh=True)
        assert self.watermark is not None
        return Window(start=self.watermark - LOOKBACK, end=end)

    def deliver(self, batch: Batch, *, covered: datetime | None = None) -> int:
        """Upsert a batch.

        :param covered: up to when the org said that everything was committed; None: it was not asked.
        :return: rows logged.
        :raises Refused: too many records are gone; nothing was written.
        """
        end = batch.window.end
        self._count(batch)
        read_columns = frozenset(self.shape.columns) - batch.unread
        observations = [
            Observation(
                values={name: None if name in batch.unread else clean(row)[name] for name in self.shape.columns},
                observed=read_columns,
                change="upsert",
                window_end=end,
                extracted_at=batch.extracted_at,
                run_id=batch.run_id,
            )
            for row in batch.rows
            if cursor_of(row) < end
        ]
        deletions = self._deletions(batch) if batch.window.full_refresh and self._may_delete(end) else []
        logged = self.log.append([*observations, *deletions])
        self._advance(batch.window, covered)
        return logged

    def _may_delete(self, end: datetime) -> bool:
        return all(known is None or end >= known for known in (self.watermark, self.last_refresh))

    def _deletions(self, batch: Batch) -> list[Observation]:
        present = {str(row["id"]) for row in batch.rows} | set(batch.present)
        alive = [record for record, row in self.log.mirror().items() if not row["isdeleted"]]
        absent = [record for record in alive if record not in present]
        # Also those that a later window saw: it is the read that is not believed.
        if len(absent) >= 100 and len(absent) > 0.2 * len(alive):
            self.occurred["volume guard refuses"] += 1
            raise Refused(f"{len(absent)} of {len(alive)} records are gone")
        gone = [record for record in absent if not self._seen_after(batch.window.end, record)]
        return [
            self.log.deletion(record, window_end=batch.window.end, extracted_at=batch.extracted_at, run_id=batch.run_id)
            for record in gone
        ]

    def _seen_after(self, end: datetime, record: str) -> bool:
        """A later window saw it: what an earlier one missed proves nothing."""
        last = self.log.last(record)
        return last is not None and last.window_end > end

    def _advance(self, window: Window, covered: datetime | None) -> None:
        end = window.end if covered is None else min(window.end, covered)
        if self.watermark is None or window.start is None or window.start <= self.watermark:
            self.watermark = max(self.watermark or end, end)
        if window.full_refresh:
            self.last_refresh = max(self.last_refresh or window.end, window.end)

    def _count(self, batch: Batch) -> None:
        key = (batch.run_id, batch.extracted_at)
        self.occurred["duplicate batch"] += key in self._delivered
        self.occurred["batch out of order"] += (
            self._newest is not None and batch.window.end < self._newest and key not in self._delivered
        )
        self.occurred["quarantined but present"] += len(batch.present)
        self._delivered.add(key)
        self._newest = max(self._newest or batch.window.end, batch.window.end)


def clean(row: Row) -> Row:
    """A row whose empty texts are null."""
    return {name: None if value == "" else value for name, value in row.items()}
