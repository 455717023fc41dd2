"""A scenario through the pipeline, on paper: the runs that `make run` makes, and the dimension that they leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from tests.oracle.org_model import Event, Org
from tests.oracle.reads import Batch, Lake, read, validate
from tests.oracle.shapes import Shape

SIX_HOURS = timedelta(hours=6)


def interval_of(at: datetime) -> tuple[datetime, datetime]:
    """The six-hour interval, half-open, that holds a moment."""
    start = at.replace(hour=at.hour - at.hour % 6, minute=0, second=0, microsecond=0)
    return start, start + SIX_HOURS


def intervals(events: Sequence[Event]) -> Iterator[tuple[datetime, datetime]]:
    """Intervals from the one that holds the first event to the one that holds the last."""
    start, end = interval_of(min(event.at for event in events))
    last = max(event.at for event in events)
    while start <= last:
        yield start, end
        start, end = end, end + SIX_HOURS


def replay(shape: Shape, events: Sequence[Event], lake: Lake | None = None, before: Sequence[Event] = ()) -> Lake:
    """The lake of one object after every interval's run, the org's clock at the interval's end.

    :param lake: goes on from there; default: an empty one.
    :param before: what the org has lived through already.
    :raises Refused: a run fails.
    """
    lake = lake or Lake(shape)
    org = Org(shape, [*before, *events])
    asked = [event.at for event in events if event.op == "refresh" and event.object == shape.object]
    for start, end in intervals(events):
        window = lake.window_until(end, asked=any(start <= at < end for at in asked))
        accepted, rejected = validate(read(org.seen_at(end).values(), window))
        lake.deliver(
            Batch(
                run_id=f"scheduled__{start.isoformat()}",
                extracted_at=end,
                window=window,
                rows=tuple(accepted),
                present=tuple(rejected),
            ),
            covered=org.covered_until(end),
        )
    return lake
