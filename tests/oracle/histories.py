"""Random histories as a log sees them: batches of observations, late, repeated, torn, and full of nulls."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from tests.oracle.org_model import full_id
from tests.oracle.reads import Batch, Window, cursor_of
from tests.oracle.shapes import Row, Shape, Value

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
SIX_HOURS = timedelta(hours=6)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
#: Few values, so that A→B→A and returns to null are frequent.
VALUES: dict[str, tuple[Value, ...]] = {
    "division": ("North", "South", "Süd-Öst 東部", None, ""),
    "audit_phase__c": ("Phase1", "Phase2", 'it\'s | "done", \\N', None),
    "name": ("Ada", "Åsa Öberg", "李四", 'O\'Neil, "Pat"', "Ada "),
    "isactive": (True, False),
    "ownerid": (full_id("0055e0000000001"), full_id("0055e0000000002"), None),
    "industry": ("Energy", "Énergie", None, ""),
    "rating": ("Hot", "Cold", None),
}
PREFIX = {"user": "0055e", "account": "0015e"}


@dataclass
class _Life:
    """What is true of one record while time goes by."""

    row: Row
    there: bool = True


@dataclass
class Generator:
    """Makes the batches of one object.

    :param records: number of records.
    :param runs: number of windows, six hours each; the first, fifth and seventh are full refreshes.
    """

    shape: Shape
    seed: int
    records: int
    runs: int = 8
    _chance: random.Random = field(init=False)
    _attempts: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def deliveries(self) -> list[Batch]:
        """Batches as they arrive: the first window's first, the others in any order, some more than once."""
        first, *others = self.batches()
        chance = self._chance
        if self.seed % 2:
            chance.shuffle(others)
        else:
            keys = {id(batch): number + chance.uniform(0, 3) for number, batch in enumerate(others)}
            others.sort(key=lambda batch: keys[id(batch)])
        for batch in chance.sample([first, *others], 3):
            others.insert(chance.randrange(len(others) + 1), batch)
        return [first, *others]

    def batches(self) -> list[Batch]:
        """Batches in the order of their windows, with torn reads and repeated attempts."""
        lives = [_Life(self._born(number)) for number in range(self.records)]
        found = []
        for number in range(1, self.runs + 1):
            start, end = BEGIN + SIX_HOURS * (number - 1), BEGIN + SIX_HOURS * number
            for life in lives:
                self._live(life, start, end)
            full = number in (1, 5, 7)
            window = Window(start=None if full else start - HOUR, end=end, full_refresh=full)
            unread = self._unread(number)
            found.append(self._read(lives, window, f"scheduled__{number}", unread))
            if number in (3, 4, 5, 7):
                for life in self._chance.sample(lives, len(lives) // 10):
                    self._live(life, start, end)
                # Another attempt of the same run, or another run over the same window.
                name = f"scheduled__{number}" if number != 7 else f"backfill__{number}"
                found.append(self._read(lives, window, name, unread))
            if number == 5:
                found.append(self._suspicious(found[-1]))
        return found

    def _unread(self, number: int) -> frozenset[str]:
        """The last tracked column comes to the object file after two runs; an untracked one is missing once."""
        if number <= 2:
            return frozenset({self.shape.tracked[-1]})
        return frozenset(self.shape.booleans) if number == 6 else frozenset()

    def _born(self, number: int) -> Row:
        short = f"{PREFIX[self.shape.noun]}{number:010d}"
        at = BEGIN + SECOND * self._chance.randrange(6 * 3600)
        dates = dict.fromkeys(("lastmodifieddate", "systemmodstamp", "createddate"), at)
        values = {name: self._chance.choice(VALUES[name]) for name in self.shape.attributes}
        return {"id": full_id(short), **values, **dates, "isdeleted": False}

    def _live(self, life: _Life, start: datetime, end: datetime) -> None:
        """Let up to one thing happen to a record in an interval."""
        chance, row = self._chance, life.row
        if not life.there:
            life.there = chance.random() < 0.4  # back, nothing else having happened
            return
        now = start + SECOND * chance.randrange(int((end - start).total_seconds()))
        what = chance.choices(
            ["nothing", "tracked", "type 1", "system", "touch", "late", "equal", "vanish", "soft", "after"],
            [40, 22, 8, 8, 4, 6, 5, 4, 4, 2],
        )[0]
        tracked = {
            name: chance.choice(VALUES[name]) for name in chance.sample(self.shape.tracked, chance.choice((1, 2)))
        }
        untracked = [name for name in self.shape.attributes if name not in self.shape.tracked]
        both = {"lastmodifieddate": now, "systemmodstamp": now}
        if what == "tracked":
            row |= tracked | both
        elif what == "type 1":
            name = chance.choice(untracked)
            row |= {name: chance.choice(VALUES[name]), **both}
        elif what == "system":
            row |= {**tracked, "systemmodstamp": now}
        elif what == "touch":
            row |= both
        elif what == "late":  # committed now, dated long ago
            past = now - HOUR * chance.randrange(1, 30)
            row |= {**tracked, "lastmodifieddate": past, "systemmodstamp": max(past, cursor_of(row) - HOUR)}
        elif what == "equal":  # twice within one second
            row |= tracked
        elif what == "vanish":
            life.there = False
        elif what == "soft" and self.shape.soft_deletes:
            row |= {"isdeleted": not row["isdeleted"], **both}
        elif what == "after":  # touched between the window's end and the read
            row |= tracked | dict.fromkeys(("lastmodifieddate", "systemmodstamp"), end + SECOND * chance.randrange(60))

    def _read(self, lives: list[_Life], window: Window, run_id: str, unread: frozenset[str]) -> Batch:
        chance = self._chance
        self._attempts += 1
        rows, present = [], []
        for life in lives:
            inside = cursor_of(life.row) < window.end
            if not window.full_refresh:
                # A quarter of what did not change lately is read all the same: the log must see that it is no news.
                recent = window.start is not None and cursor_of(life.row) >= window.start
                if not inside or not (recent or chance.random() < 0.25):
                    continue
            if not life.there:
                continue
            if chance.random() < 0.01:
                present.append(str(life.row["id"]))
            else:
                rows.append({name: None if name in unread else value for name, value in life.row.items()})
        return Batch(
            run_id=run_id,
            extracted_at=window.end + timedelta(microseconds=1_000_003 * self._attempts),
            window=window,
            rows=tuple(rows),
            present=tuple(present),
            unread=unread,
        )

    def _suspicious(self, batch: Batch) -> Batch:
        """A full refresh that lacks a third of what it should hold."""
        self._attempts += 1
        at = batch.window.end + timedelta(microseconds=1_000_003 * self._attempts)
        return replace(batch, run_id="suspicious", extracted_at=at, rows=batch.rows[: len(batch.rows) * 2 // 3])


def cut(batches: list[Batch], parts: int) -> Iterator[list[Batch]]:
    """The batches in this many parts, in order; each part is one increment of the history."""
    size = -(-len(batches) // parts)
    for start in range(0, len(batches), size):
        yield batches[start : start + size]
