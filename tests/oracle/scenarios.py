"""Random scenarios: events as JSON lines hold them, crowded where replays go wrong.

Times gather at window edges and at the edges of the hour that windows overlap, to the second. Records vanish, come
back, are committed late, and are changed by automation; values repeat, so that A→B→A is frequent. What is made is
always legal: nothing happens to a record that is not there. `random.Random` gives reproducible scenarios, hypothesis'
`st.randoms()` ones that shrink.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SIX_HOURS = timedelta(hours=6)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)

PREFIX = {"User": "005", "Account": "001"}
OWNERS = ("005SIM000000001AAA", "005SIM000000002AAA", None)
TRACKED: dict[str, dict[str, tuple[str | None, ...]]] = {
    "User": {
        "Division": ("North", "South", "Süd-Öst 東部", 'O\'Brien, "b"', None, ""),
        "Audit_Phase__c": ("Phase1", "Phase2", "Complete", None),
    },
    "Account": {
        "OwnerId": OWNERS,
        "Industry": ("Energy", "Banking", None, ""),
        "Rating": ("Hot", "Cold", None),
    },
}
NAMES = ("Ada", "Åsa Öberg", "李四 🙂", 'Pat "P" O\'Neil, jr.', "نورة")


def record_id(object_name: str, number: int) -> str:
    """The Id of 18 characters of the n-th record of an object.

    :param object_name: User or Account.
    :param number: from 0 to 99,999,999.
    """
    short = f"{PREFIX[object_name]}Sim0{number:08d}"
    groups = (short[start : start + 5] for start in (0, 5, 10))
    bits = (sum(1 << place for place, letter in enumerate(group) if "A" <= letter <= "Z") for group in groups)
    return short + "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"[number] for number in bits)


def text(moment: datetime) -> str:
    """A moment as scenarios write it.

    :param moment: aware, UTC.
    """
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_near_an_edge(chance: random.Random, intervals: int) -> datetime:
    """A moment of the scenario: mostly on, or a second beside, the edge of a window or of its overlap.

    :param chance: where randomness comes from.
    :param intervals: how many intervals of six hours the scenario spans.
    """
    edge = BEGIN + SIX_HOURS * chance.randrange(intervals)
    if chance.random() < 0.4:
        return edge + SECOND * chance.randrange(6 * 3600)
    beside = chance.choice(
        (timedelta(0), SECOND, HOUR, 5 * HOUR - SECOND, 5 * HOUR, 5 * HOUR + SECOND, SIX_HOURS - SECOND)
    )
    return edge + beside


def _fields(chance: random.Random, object_name: str, nameless: float) -> dict[str, Any]:
    """What an update sets: mostly tracked fields, at times the name, the checkbox or a field that nobody reads."""
    tracked = TRACKED[object_name]
    found: dict[str, Any] = {}
    if chance.random() < 0.75:
        found = {name: chance.choice(tracked[name]) for name in chance.sample(sorted(tracked), chance.randint(1, 2))}
    if chance.random() < 0.25:
        found["Name"] = chance.choice(NAMES)
    if chance.random() < nameless:
        found["Name"] = chance.choice((None, ""))
    if object_name == "User" and chance.random() < 0.15:
        found["IsActive"] = chance.random() < 0.5
    return found or {"Description" if object_name == "Account" else "Title": chance.choice(NAMES)}


def _next_op(chance: random.Random, object_name: str, *, hidden: bool, deleted: bool) -> str:
    """What happens next to a record that is there."""
    if hidden and chance.random() < 0.6:
        return "unhide"
    if deleted and chance.random() < 0.5:
        return "undelete"
    ops = ["update"] * 14 + ["purge"] * 2 + ([] if hidden else ["hide"] * 3)
    if object_name == "Account" and not deleted:
        ops += ["delete"] * 3
    return chance.choice(ops)


def _life(chance: random.Random, object_name: str, of: str, moments: list[datetime], nameless: float) -> list[Event]:
    """The events of one record at the given moments, in their order."""
    events: list[Event] = []
    there = hidden = deleted = False
    for at in moments:
        event: Event = {"at": text(at), "op": "insert", "object": object_name, "Id": of}
        if not there:
            there, hidden, deleted = True, False, False
            event["fields"] = {"Name": chance.choice(NAMES)} | _fields(chance, object_name, nameless)
        else:
            op = event["op"] = _next_op(chance, object_name, hidden=hidden, deleted=deleted)
            there = op != "purge"
            hidden = (hidden or op == "hide") and op != "unhide"
            deleted = (deleted or op == "delete") and op != "undelete"
            if op == "update":
                event["fields"] = _fields(chance, object_name, nameless)
                if chance.random() < 0.2:
                    event["system"] = True
        if event["op"] in ("insert", "update") and chance.random() < 0.12:
            event["visible_at"] = text(at + chance.choice((SECOND, HOUR, SIX_HOURS - SECOND, SIX_HOURS, 3 * SIX_HOURS)))
        events.append(event)
    return events


def random_scenario(
    chance: random.Random,
    *,
    object_name: str = "User",
    records: int = 20,
    intervals: int = 6,
    nameless: float = 0.0,
) -> list[Event]:
    """A scenario in file order: by time, or record after record.

    :param chance: where randomness comes from.
    :param object_name: User or Account.
    :param records: how many records live through it.
    :param intervals: how many intervals of six hours it spans at most, from BEGIN.
    :param nameless: share of inserts and updates that leave a record without its name, which is quarantined; few runs
        survive many of them (5 %).
    """
    events: list[Event] = []
    for number in range(records):
        moments = sorted(moment_near_an_edge(chance, intervals) for _ in range(chance.randint(1, 9)))
        events += _life(chance, object_name, record_id(object_name, number), moments, nameless)
    for _ in range(chance.randint(0, intervals // 2)):
        events.append({"at": text(moment_near_an_edge(chance, intervals)), "op": "refresh", "object": object_name})
    return sorted(events, key=lambda event: event["at"]) if chance.random() < 0.7 else events
