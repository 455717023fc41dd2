"""The default scenario: one day in the life of 5,000 users, the same every time.

Four intervals of six hours hold what a history must survive: transfers, audits that advance, A→B→A, values that become
null, a value that nobody has listed, renames, deactivations, automation, a purge that only a full refresh can notice, a
return, and a late commit.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.org.ids import to_18

DAY = datetime(2026, 1, 5, tzinfo=UTC)
USERS = 5_000
DIVISIONS = ("North", "South", "East", "West", "Central")
PHASES = ("Phase1", "Phase2", "Phase3", "Complete")

#: The people whose story is told by name; the others are drawn at random.
CAST = (
    "Ada Lovelace",  # transfers, to a division that nobody has listed, and comes back: A→B→A
    "Grace Hopper",  # her audit runs through every phase
    "Alan Turing",  # his division becomes null, and is set again
    "Katherine Johnson",  # marries: a rename opens no version
    "Edsger Dijkstra",  # is deactivated: no deletion
    "Barbara Liskov",  # is purged; the refresh notices
    "Donald Knuth",  # is hidden from the integration user, declared deleted, and returns
    "Radia Perlman",  # her transfer is committed late
    "Tony Hoare",  # is moved by automation: only SystemModstamp moves
)
_FIRST = "Maria Jose Wei Anna Omar Lena Ravi Yuki Sara Ivan Aisha Paul Nora Luis Emma Karl Mei Jack Ines Tom".split()
_LAST = "Silva Chen Novak Khan Garcia Sato Brown Rossi Kim Weber Diaz Patel Larsen Moreau Cohen Ali Park Lopez".split()


def events() -> Iterator[dict[str, Any]]:
    """The scenario's lines, in the order in which they are written."""
    draw = random.Random(20260105)
    for number in range(USERS):
        name = CAST[number] if number < len(CAST) else f"{draw.choice(_FIRST)} {draw.choice(_LAST)}"
        division = "North" if number < len(CAST) or draw.random() < 0.9 else None
        if number >= len(CAST) and division:
            division = draw.choice(DIVISIONS)
        phase = "Phase1" if number < len(CAST) else draw.choice(PHASES[:3])
        fields = {"Name": name, "Division": division, "Audit_Phase__c": phase, "IsActive": True}
        yield _event(DAY + timedelta(seconds=60 + 3 * number), "insert", number, fields)
    yield from _cast()
    yield from _crowd(draw)


def write(path: Path) -> Path:
    """Write the scenario as JSON lines.

    :return: the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as lines:
        for event in events():
            lines.write(json.dumps(event, ensure_ascii=False) + "\n")
    return path


def _cast() -> Iterator[dict[str, Any]]:
    ada, grace, alan, katherine, edsger, barbara, donald, radia, tony = range(len(CAST))
    yield _event(_at(7, 12), "update", ada, {"Division": "Northwest"})
    yield _event(_at(14, 30), "update", ada, {"Division": "North"})
    yield _event(_at(8, 0), "update", grace, {"Audit_Phase__c": "Phase2"})
    yield _event(_at(13, 5), "update", grace, {"Audit_Phase__c": "Phase3"})
    yield _event(_at(19, 45), "update", grace, {"Audit_Phase__c": "Complete"})
    yield _event(_at(9, 20), "update", alan, {"Division": None})
    yield _event(_at(20, 10), "update", alan, {"Division": "Central"})
    yield _event(_at(10, 0), "update", katherine, {"Name": "Katherine Goble"})
    yield _event(_at(15, 0), "update", edsger, {"IsActive": False})
    yield _event(_at(9, 30), "purge", barbara)
    yield _event(_at(10, 30), "hide", donald)
    yield _event(_at(19, 0), "unhide", donald)
    yield _event(_at(19, 5), "update", donald, {"Audit_Phase__c": "Phase2"})
    yield _event(_at(11, 40), "update", radia, {"Division": "South"}, visible_at=_at(13, 5))
    yield _event(_at(16, 0), "update", tony, {"Division": "East"}, system=True)
    yield {"at": _iso(_at(17, 0)), "op": "refresh", "object": "User"}


def _crowd(draw: random.Random) -> Iterator[dict[str, Any]]:
    for first_hour in (6, 12, 18):
        for number in draw.sample(range(len(CAST), USERS), 120):
            moment = _at(first_hour, 0) + timedelta(seconds=draw.randrange(1, 6 * 3600))
            change: dict[str, Any] = draw.choice(
                (
                    {"Division": draw.choice(DIVISIONS)},
                    {"Audit_Phase__c": draw.choice(PHASES)},
                    {"Division": draw.choice(DIVISIONS), "Audit_Phase__c": draw.choice(PHASES)},
                    {"Name": f"{draw.choice(_FIRST)} {draw.choice(_LAST)}"},
                    {"IsActive": False},
                )
            )
            yield _event(moment, "update", number, change)


def _event(
    at: datetime,
    op: str,
    number: int,
    fields: dict[str, Any] | None = None,
    *,
    visible_at: datetime | None = None,
    system: bool = False,
) -> dict[str, Any]:
    event: dict[str, Any] = {"at": _iso(at), "op": op, "object": "User", "Id": to_18(f"0055e{number + 1:010d}")}
    if fields is not None:
        event["fields"] = fields
    if visible_at is not None:
        event["visible_at"] = _iso(visible_at)
    if system:
        event["system"] = True
    return event


def _at(hour: int, minute: int) -> datetime:
    return DAY + timedelta(hours=hour, minutes=minute)


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def main() -> None:
    """Write the scenario to the file that is named."""
    parser = argparse.ArgumentParser(prog="python -m local.story", description="Write the default scenario.")
    parser.add_argument("path", type=Path, help="where to write it (JSON lines)")
    print(write(parser.parse_args().path))


if __name__ == "__main__":
    main()
