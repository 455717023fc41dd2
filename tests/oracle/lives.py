"""Random scenarios of an org, and the runs that read it: on time, late, skipped and backfilled, repeated, refreshed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from tests.oracle.histories import BEGIN, HOUR, PREFIX, SECOND, SIX_HOURS, VALUES
from tests.oracle.org_model import Org
from tests.oracle.reads import Batch, Lake, Refused, Window, read, validate
from tests.oracle.shapes import Shape

API_NAMES = {
    "name": "Name",
    "division": "Division",
    "audit_phase__c": "Audit_Phase__c",
    "isactive": "IsActive",
    "ownerid": "OwnerId",
    "industry": "Industry",
    "rating": "Rating",
}


def scenario(shape: Shape, *, seed: int, records: int, intervals: int) -> list[dict[str, Any]]:
    """Events, as a scenario file would hold them, in no order.

    :param intervals: length, in spans of six hours.
    """
    chance = random.Random(f"scenario {seed}")
    span = int((SIX_HOURS * intervals).total_seconds())
    found = []
    for number in range(records):
        record = f"{PREFIX[shape.noun]}{number:010d}"
        born = chance.randrange(span // 2)
        found.append(_event(shape, record, "insert", born, chance, fields=_fields(shape, chance, all_of_them=True)))
        for at in sorted(chance.sample(range(born + 1, span), chance.randrange(7))):
            found.append(_happening(shape, record, at, chance))
    chance.shuffle(found)
    return found


def _happening(shape: Shape, record: str, at: int, chance: random.Random) -> dict[str, Any]:
    ops = ["update", "hide", "unhide", "purge", "insert", *(("delete", "undelete") if shape.soft_deletes else ())]
    op = chance.choices(ops, [60, 8, 12, 2, 3, 6, 4][: len(ops)])[0]
    event = _event(shape, record, op, at, chance)
    if op in ("update", "insert"):
        event["fields"] = _fields(shape, chance, all_of_them=op == "insert")
        event["system"] = op == "update" and chance.random() < 0.15
    if chance.random() < 0.1:
        late = at + chance.choice((60, 1800, 5 * 3600, 20 * 3600))
        event["visible_at"] = _written(BEGIN + SECOND * late)
    return event


def _event(shape: Shape, record: str, op: str, at: int, chance: random.Random, **more: Any) -> dict[str, Any]:
    # Some Ids have 15 characters, some things happen at the very end of an interval, some in the same second.
    if chance.random() < 0.03:
        at -= at % 21_600
    return {"at": _written(BEGIN + SECOND * at), "op": op, "object": shape.object, "Id": record, **more}


def _fields(shape: Shape, chance: random.Random, *, all_of_them: bool) -> dict[str, Any]:
    names = list(shape.attributes)
    chosen = names if all_of_them else chance.sample(names, chance.choice((1, 1, 2)))
    found = {API_NAMES[name]: chance.choice(VALUES[name]) for name in chosen}
    if "Name" in found and chance.random() < 0.01:
        found["Name"] = chance.choice(("", None))
    return found


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def batches(lake: Lake, org: Org, *, seed: int, intervals: int) -> Iterator[Batch]:
    """What the runs read, one after the other; each must be delivered to the lake before the next is asked for.

    A run that must fail for its rejected rows delivers nothing.
    """
    chance = random.Random(f"runs {seed}")
    skipped: list[int] = []
    for number in range(1, intervals + 1):
        start, end = BEGIN + SIX_HOURS * (number - 1), BEGIN + SIX_HOURS * number
        clock = end + timedelta(minutes=chance.choice((0, 1, 50)))
        if 1 < number < intervals and chance.random() < 0.2:
            skipped.append(number)
            continue
        window = _scheduled(lake, start, end, asked=number in (4, 7))
        yield from _read(lake, org, f"scheduled__{number}", window, clock)
        if chance.random() < 0.3:  # cleared and run again, an hour later
            yield from _read(lake, org, f"scheduled__{number}", window, clock + HOUR)
        if skipped and chance.random() < 0.5:
            missed = skipped.pop()
            begin, stop = BEGIN + SIX_HOURS * (missed - 1) - HOUR, BEGIN + SIX_HOURS * missed
            yield from _read(lake, org, f"backfill__{missed}", Window(start=begin, end=stop), clock + 2 * HOUR)


def _scheduled(lake: Lake, start: datetime, end: datetime, *, asked: bool) -> Window:
    usual = lake.window_until(end, asked=asked)
    return usual if usual.start is None else Window(start=min(usual.start, start - HOUR), end=end)


def _read(lake: Lake, org: Org, run_id: str, window: Window, clock: datetime) -> Iterator[Batch]:
    try:
        accepted, rejected = validate(read(org.seen_at(clock).values(), window))
    except Refused:
        lake.occurred["run fails for its rejected rows"] += 1
        return
    yield Batch(run_id=run_id, extracted_at=clock, window=window, rows=tuple(accepted), present=tuple(rejected))
