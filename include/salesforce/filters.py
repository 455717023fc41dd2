"""The condition that a read and its proof share: which rows are this run's, as a span that can be halved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from include.salesforce import soql
from include.staging.manifest import Window

#: No record of Salesforce's is older, unless an import said so: halving need not look further back.
_FIRST_RECORDS = datetime(1999, 1, 1, tzinfo=UTC)
#: Salesforce's datetimes have whole seconds.
_NARROWEST = timedelta(seconds=2)
#: Halvings of one span: 16 of them make hours out of Salesforce's lifetime.
_DEEPEST = 16


@dataclass(frozen=True, kw_only=True)
class Span:
    """The half-open span of a datetime field.

    :param field: API name.
    :param start: inclusive; None: unbounded.
    :param end: exclusive; None: unbounded.
    :param now: the org's clock: where an unbounded span is taken to end when it is halved.
    :param depth: how often it has been halved.
    """

    field: str
    start: datetime | None
    end: datetime | None
    now: datetime
    depth: int = 0

    @property
    def where(self) -> str:
        """A condition without the word WHERE; '' for every row."""
        return soql.between(field=self.field, start=self.start, end=self.end)

    def halves(self) -> tuple[Span, Span] | None:
        """The earlier and the later half, which together are the whole; None where it cannot be halved any more."""
        start, end = self.start or _FIRST_RECORDS, self.end or self.now
        if self.depth >= _DEEPEST or end - start < _NARROWEST:
            return None
        middle = (start + (end - start) / 2).replace(microsecond=0)
        deeper = self.depth + 1
        return replace(self, end=middle, depth=deeper), replace(self, start=middle, depth=deeper)

    def __str__(self) -> str:
        start = soql.moment(self.start) if self.start else "the beginning"
        return f"{self.field} from {start} to {soql.moment(self.end) if self.end else 'now'}"


def window_span(window: Window, *, cursor: str, created: str | None, read_start: datetime) -> Span:
    """Which rows a window is about.

    A full refresh has no bound on the cursor: a row touched after the window's end is there, and its absence would look
    like a deletion. It is bounded by the creation date instead, so that the read and the count afterwards speak of the
    same rows however many are created in between. An object without a CreatedDate to filter by is read unbounded: the
    count may then exceed the rows that were read, and the read is made again. Halved, it is halved by the cursor, the
    earlier half first: a row that is touched meanwhile moves on into a later half and is read there.

    :param window: the run's window.
    :param cursor: API name of the cursor.
    :param created: API name of CreatedDate, None where it cannot be filtered by.
    :param read_start: the org's clock when the read starts. Where that is behind the window's end, the end counts: what
        is in the window is read, whatever a clock says.
    """
    read_start = max(read_start, window.end)
    if not window.full_refresh:
        return Span(field=cursor, start=window.start, end=window.end, now=read_start)
    if created:
        return Span(field=created, start=None, end=read_start, now=read_start)
    return Span(field=cursor, start=None, end=None, now=read_start)
