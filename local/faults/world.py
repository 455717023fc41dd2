"""The little world that every fault strikes: some hundred users over eighteen hours, with all that makes reading hard.

Three to a second, so that equal cursors lie on every page's edge; rows on the very edges of windows; rows that commit
hours after their cursor; a row that moves while pages are read; rows that go away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
SIX, NOON, EVENING = (MIDNIGHT + timedelta(hours=hours) for hours in (6, 12, 18))
#: When a row moves that is on a later page, if the clock gets there while the first page is read.
MOVED = SIX + timedelta(seconds=10)

USERS, CHANGED = 450, 260
_GONE = (3, 77, 301)
_DIVISIONS = ("North", "South", "East", "West", None)
_PHASES = ("Phase1", "Phase2", None, "Complete")


def user(number: int) -> str:
    """Id of a user.

    :param number: from 0.
    """
    return f"005{number:012d}AAA"


def write_world(path: Path) -> None:
    """Write the scenario.

    :param path: a JSON-lines file.
    """
    path.write_text("".join(json.dumps(event) + "\n" for event in world_events()), encoding="utf-8")


def expected_users(at: datetime) -> dict[str, tuple[Any, ...]]:
    """What a lake must hold of every user that has ever been there: (division, phase, whether it is gone).

    Worked out from the events alone, by none of the code that is tried.

    :param at: the moment; what has not committed by then is not there.
    """
    found: dict[str, dict[str, Any]] = {}
    gone: set[str] = set()
    for event in sorted(world_events(), key=lambda event: event["at"]):
        if max(event["at"], event.get("visible_at", "")) >= iso(at):
            continue
        if event["op"] == "purge":
            gone.add(event["Id"])
        else:
            found.setdefault(event["Id"], {}).update(event["fields"])
    return {key: (fields.get("Division"), fields.get("Audit_Phase__c"), key in gone) for key, fields in found.items()}


def world_events() -> Iterator[dict[str, Any]]:
    """What happens in it, as lines of a scenario."""
    for number in range(USERS):
        yield _event(MIDNIGHT + timedelta(seconds=40 * (number // 3)), "insert", number)
    yield _event(SIX - timedelta(seconds=1), "insert", 600)
    yield _event(SIX, "insert", 601)
    yield _event(MIDNIGHT + timedelta(hours=3), "insert", 602, visible_at=SIX + timedelta(hours=2))
    yield _event(MIDNIGHT + timedelta(hours=3, minutes=10), "update", 10, visible_at=SIX + timedelta(hours=3))
    yield _event(MOVED, "update", USERS - 1)
    for number in range(20, 20 + CHANGED):
        yield _event(SIX + timedelta(minutes=5, seconds=30 * (number // 3)), "update", number)
    yield _event(NOON - timedelta(seconds=1), "update", 600)
    yield _event(NOON, "insert", 603)
    for number in _GONE:
        yield {"at": iso(NOON + timedelta(hours=1)), "op": "purge", "object": "User", "Id": user(number)}


def _event(at: datetime, op: str, number: int, *, visible_at: datetime | None = None) -> dict[str, Any]:
    turn = number + (op == "update")
    fields = {"Division": _DIVISIONS[turn % 5], "Audit_Phase__c": _PHASES[turn % 4]}
    if op == "insert":
        fields |= {"Name": f'User {number}, "{number % 7}"\nÜber 東京'}
    event = {"at": iso(at), "op": op, "object": "User", "Id": user(number), "fields": fields}
    return event if visible_at is None else {**event, "visible_at": iso(visible_at)}


def iso(moment: datetime) -> str:
    """A moment as scenarios write it.

    :param moment: aware, UTC.
    """
    return moment.isoformat().replace("+00:00", "Z")
