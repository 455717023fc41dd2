"""Scenarios: what an org lives through, one event a line of JSON.

::

    {"at": "2026-01-05T07:12:00Z", "op": "update", "object": "User", "Id": "005…", "fields": {"Division": "West"}}

Events are independent patches; :mod:`local.org.fold` says what they add up to. A wrong line is refused with its number,
the key and what is allowed; all wrong lines (up to 20) are reported at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from local.org import timestamps
from local.org.event import Event
from local.org.scenario_line import WrongLine, read_line
from local.org.schema import Schema

MAX_REPORTED = 20
RUN_SECONDS = 6 * 3600


class ScenarioError(ValueError):
    """A scenario with wrong lines.

    :param source: the file.
    :param problems: one text for each wrong line, with its number.
    """

    def __init__(self, *, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        more = f" (the first {MAX_REPORTED} are listed)" if len(problems) >= MAX_REPORTED else ""
        count = "a wrong line" if len(problems) == 1 else f"{len(problems)} wrong lines"
        super().__init__("\n".join([f"{source}: {count}{more}; nothing was loaded", *problems]))


@dataclass(frozen=True)
class Scenario:
    """A scenario that has been read and found right."""

    path: Path
    events: tuple[Event, ...]

    @property
    def objects(self) -> tuple[str, ...]:
        """The objects that the events name, in the order of their first event in the file."""
        return tuple(dict.fromkeys(event.object for event in self.events))

    @property
    def first_at(self) -> datetime | None:
        """The earliest ``at``, or None without events."""
        return timestamps.moment(min(event.at for event in self.events)) if self.events else None

    @property
    def last_at(self) -> datetime | None:
        """The latest ``at``, or None without events."""
        return timestamps.moment(max(event.at for event in self.events)) if self.events else None

    @property
    def refreshes(self) -> tuple[Event, ...]:
        """The events that ask for a full refresh."""
        return tuple(event for event in self.events if event.op == "refresh")


@dataclass(frozen=True)
class Run:
    """One six-hour interval [start, end) of a replay, and the objects that it refreshes fully."""

    start: datetime
    end: datetime
    full_refresh: frozenset[str]


def iter_events(lines: Iterable[bytes], *, source: str, schema: Schema | None = None) -> Iterator[Event]:
    """Yield the events of a scenario's lines, and raise at the end if some were wrong.

    :param lines: the lines as bytes (UTF-8); blank ones and those that begin with ``#`` are skipped.
    :param source: the file's name, for the error.
    :param schema: the org's schema; that of a fresh org by default.
    :raises ScenarioError: after the last line (or the twentieth wrong one), if any was wrong.
    """
    known = schema or Schema.standard()
    problems: list[str] = []
    for number, raw in enumerate(lines, start=1):
        text = raw.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else raw.strip()
        if not text or text.startswith(b"#"):
            continue
        try:
            event = read_line(text, number=number, schema=known)
        except WrongLine as error:
            problems.append(f"line {number}: {error}")
            if len(problems) >= MAX_REPORTED:
                break
        else:
            if not problems:
                yield event
    if problems:
        raise ScenarioError(source=source, problems=problems)


def load_scenario(path: str | Path, *, schema: Schema | None = None) -> Scenario:
    """Read a scenario.

    :param path: a JSON-lines file.
    :param schema: the org's schema; that of a fresh org by default.
    :raises ScenarioError: naming every wrong line.
    :raises OSError: if the file cannot be read.
    """
    place = Path(path)
    with place.open("rb") as lines:
        return Scenario(path=place, events=tuple(iter_events(lines, source=str(path), schema=schema)))


def six_hour_runs(scenario: Scenario) -> list[Run]:
    """Return the intervals that a replay runs, in order.

    They begin at 00, 06, 12 and 18 UTC; the first holds the first event's ``at``, the last the last event's
    (``visible_at`` extends nothing).

    :param scenario: the scenario.
    """
    if not scenario.events:
        return []
    slots = [event.at // RUN_SECONDS for event in scenario.events]
    refreshed: dict[int, set[str]] = {}
    for event in scenario.refreshes:
        refreshed.setdefault(event.at // RUN_SECONDS, set()).add(event.object)
    return [
        Run(
            start=timestamps.moment(slot * RUN_SECONDS),
            end=timestamps.moment((slot + 1) * RUN_SECONDS),
            full_refresh=frozenset(refreshed.get(slot, ())),
        )
        for slot in range(min(slots), max(slots) + 1)
    ]
