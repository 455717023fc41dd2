"""A scenario's events, and what the integration user sees of the org at a moment.

An event is a patch. Those that have happened and show (`at` and `visible_at` are not later than the clock) apply in
the order of `at`, ties in the file's order.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.oracle.shapes import SHAPES, Row, Shape, Value

OPS = ("insert", "update", "delete", "undelete", "purge", "hide", "unhide", "refresh")
_KEYS = {"at", "op", "object", "Id", "fields", "system", "visible_at"}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


class WrongLine(ValueError):
    """A line of a scenario that means nothing."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a scenario."""

    line: int
    at: datetime
    op: str
    object: str
    id: str | None = None
    fields: Row = field(default_factory=dict)
    system: bool = False
    visible_at: datetime | None = None

    def shows(self, clock: datetime) -> bool:
        """It has happened, and was committed."""
        return self.at <= clock and (self.visible_at or self.at) <= clock


def moment(text: str) -> datetime:
    """`2026-01-05T07:12:00Z` or `2026-01-05 07:12` as UTC."""
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def full_id(short: str) -> str:
    """An Id of 15 characters with the three that tell upper case from lower; one of 18 as it is."""
    if len(short) == 18:
        return short
    if len(short) != 15:
        raise ValueError(f"an Id has 15 or 18 characters: {short!r}")
    groups = (short[start : start + 5] for start in (0, 5, 10))
    bits = (sum(1 << at for at, one in enumerate(group) if "A" <= one <= "Z") for group in groups)
    return short + "".join(_LETTERS[one] for one in bits)


def text_or_null(value: Value) -> Value:
    """The empty string counts as null."""
    return None if value == "" else value


def _fields(shape: Shape, raw: dict[str, Any]) -> Row:
    """Values that the dimension will know of; others only move the dates."""
    found: Row = {name.lower(): text_or_null(value) for name, value in raw.items() if name.lower() in shape.fields}
    for name in shape.booleans.keys() & found.keys():
        found[name] = bool(found[name])
    if isinstance(owner := found.get("ownerid"), str):
        found["ownerid"] = full_id(owner)
    if "CreatedDate" in raw:
        found["createddate"] = moment(raw["CreatedDate"])
    return found


def event_of(raw: dict[str, Any], line: int) -> Event:
    """One event from one JSON object.

    :raises WrongLine: a key or value is wrong.
    """
    if unknown := set(raw) - _KEYS:
        raise WrongLine(f"line {line}: unknown key {sorted(unknown)}")
    try:
        op, shape = raw["op"], SHAPES[raw["object"]]
        event = Event(
            line=line,
            at=moment(raw["at"]),
            op=op,
            object=shape.object,
            id=None if op == "refresh" else full_id(raw["Id"]),
            fields=_fields(shape, raw.get("fields", {})),
            system=raw.get("system", False),
            visible_at=moment(raw["visible_at"]) if "visible_at" in raw else None,
        )
    except (KeyError, ValueError, AttributeError) as wrong:
        raise WrongLine(f"line {line}: {wrong!r}") from wrong
    if op not in OPS or (op in ("delete", "undelete") and not shape.soft_deletes):
        raise WrongLine(f"line {line}: {shape.object} has no op {op}")
    return event


def read_scenario(lines: Iterable[str]) -> list[Event]:
    """All events of a JSON-lines scenario, in the file's order."""
    return [event_of(json.loads(line), number) for number, line in enumerate(lines, start=1) if line.strip()]


class Org:
    """The records of one object."""

    def __init__(self, shape: Shape, events: Iterable[Event]) -> None:
        self._shape = shape
        self._events = [event for event in events if event.object == shape.object]
        self._of_record: dict[str, list[Event]] = defaultdict(list)
        for event in sorted(self._events, key=lambda one: (one.at, one.line)):
            if event.id is not None:
                self._of_record[event.id].append(event)

    def seen_at(self, clock: datetime) -> dict[str, Row]:
        """What the integration user sees when the org's clock shows this: Id → record, soft-deleted ones included."""
        found = {record: self._record_at(record, clock) for record in self._of_record}
        return {record: row for record, row in found.items() if row is not None}

    def covered_until(self, clock: datetime) -> datetime:
        """The minute up to which everything that has happened was committed, when the clock shows this."""
        pending = [event.at for event in self._events if event.at <= clock and not event.shows(clock)]
        return min([clock, *pending]).replace(second=0, microsecond=0)

    def _record_at(self, record: str, clock: datetime) -> Row | None:
        row: Row | None = None
        hidden = False
        for event in self._of_record[record]:
            if not event.shows(clock):
                continue
            if row is None:  # nothing is there to change, until an insert
                row, hidden = self._new(event) if event.op == "insert" else None, False
            elif event.op == "purge":
                row = None
            elif event.op in ("hide", "unhide"):
                hidden = event.op == "hide"
            else:
                row = self._patched(row, event)
        return None if hidden else row

    def _new(self, event: Event) -> Row:
        blank: Row = dict.fromkeys(self._shape.columns)
        dates = dict.fromkeys(("createddate", "lastmodifieddate", "systemmodstamp"), event.at)
        return {**blank, "id": event.id, "isdeleted": False, **dates, **self._shape.booleans, **event.fields}

    def _patched(self, row: Row, event: Event) -> Row:
        row = {**row, **event.fields, "systemmodstamp": event.at}
        if not event.system:
            row["lastmodifieddate"] = event.at
        if event.op in ("delete", "undelete"):
            row["isdeleted"] = event.op == "delete"
        return row
