"""Random runs through the real engine, compared after every run with a naive model of log and mirror.

Windows out of order, batches repeated, records unseen for a while, missing values, equal cursors, full refreshes, and
crashes between any two steps.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from include.lake.row_hash import row_hashes
from include.staging.columns import COLUMN_TYPES
from tests.include.lake.lake_model import LakeModel

RUNS_PER_LAKE = 30
STEPS = ("recovered", "planned", "logged", "merged")
#: Differ by case alone, in pairs, as ids of Salesforce may.
KEYS = [f"005xx00000{letter}{number:04d}AAA" for number in range(14) for letter in "aA"]


class Crash(Exception):
    """The process died here."""


class Story:
    """One lake's random life, told to the engine and to the model."""

    def __init__(self, seed: int, lake: Any, hours: Any) -> None:
        self.random = random.Random(seed)
        self.lake, self.hours = lake, hours
        self.model = LakeModel("systemmodstamp")
        self.seen: Counter[str] = Counter()
        self.past: list[dict[str, Any]] = []

    def digest(self, record: dict[str, Any]) -> str:
        schema = pa.schema([(name, COLUMN_TYPES[kind]) for name, kind in self.lake.types.items()])
        plain = {name: record[name] for name in schema.names}
        digest: str = row_hashes(pa.Table.from_pylist([plain], schema), schema.names)[0].as_py()
        return digest

    def record(self, key: str, end: int) -> dict[str, Any]:
        chance = self.random
        at = chance.choice([end - 1, end - 1, end - 2, end - 7, chance.randint(0, end + 2)])
        record = self.lake.record(
            key,
            at,
            division=chance.choice(["North", "South", None]),
            isactive=chance.choice([True, False, None]),
            isdeleted=chance.random() < 0.08,
        )
        if chance.random() < 0.03:
            record["systemmodstamp"] = None
        if chance.random() < 0.1:
            record["lastmodifieddate"] = self.hours(at - 1)
        return record

    def next_run(self) -> dict[str, Any]:
        chance = self.random
        if self.past and chance.random() < 0.12:
            self.seen["repeated batch"] += 1
            return chance.choice(self.past)
        newest = max((run["end"] for run in self.past), default=0)
        end = newest + chance.choice([0, 1, 6]) if chance.random() < 0.6 else chance.randint(1, newest + 6)
        end = max(end, 1)
        full = not self.past or chance.random() < 0.3
        keys = chance.sample(KEYS, chance.randint(0, len(KEYS))) if full else chance.sample(KEYS, chance.randint(0, 8))
        unread = [key for key in KEYS if key not in keys]
        run = {
            "records": [self.state_of(key, end) for key in keys],
            "present": chance.sample(unread, min(len(unread), 2)) if chance.random() < 0.5 else [],
            "start": None if full else end - chance.choice([1, 6, 7]),
            "end": end,
            "run_id": f"run {len(self.past)}",
            "extracted_at": datetime(2026, 2, chance.randint(1, 5), tzinfo=UTC).replace(microsecond=len(self.past)),
        }
        self.past.append(run)
        return run

    def state_of(self, key: str, end: int) -> dict[str, Any]:
        """The same state again, one from earlier, or a new one."""
        chance = self.random
        history = self.model.history(key)
        if history and chance.random() < 0.5:
            self.seen["state seen before"] += 1
            seen = history[-1] if chance.random() < 0.7 else chance.choice(history)
            return {name: seen[name] for name in self.lake.types}
        return self.record(key, end)

    def upsert(self, validation: Any, *, crash_at: str | None) -> tuple[Any, list[str]]:
        steps: list[str] = []

        def on_step(step: str) -> None:
            steps.append(step)
            if step == crash_at:
                raise Crash

        try:
            return self.lake.upsert(validation, on_step=on_step), steps
        except Crash:
            self.seen[f"crash after {crash_at}"] += 1
            return None, steps

    def live(self) -> None:
        for _ in range(RUNS_PER_LAKE):
            run = self.next_run()
            validation = self.lake.staged(**run)
            crash_at = self.random.choice(STEPS) if self.random.random() < 0.25 else None
            manifest, steps = self.upsert(validation, crash_at=crash_at)
            if manifest is None:
                self.told(run, steps)
                if self.random.random() < 0.3:
                    self.seen["crash, another run first"] += 1
                    continue
                manifest, _ = self.upsert(validation, crash_at=None)
            self.told(run, ["merged"])
            self.compare(manifest)
            if self.random.random() < 0.3:
                self.seen["identical re-run"] += 1
                before = self.lake.snapshots()
                again, _ = self.upsert(validation, crash_at=None)
                assert self.lake.snapshots() == before
                assert (again.logged, again.inserted, again.updated, again.recovered) == (0, 0, 0, 0)

    def told(self, run: dict[str, Any], steps: list[str]) -> None:
        """Let the model do what the engine did up to its crash."""
        done = steps[-1:] == ["merged"]
        if not done and "logged" not in steps:
            self.model.recover()
            return
        before = len(self.model.log)
        self.model.run(
            run["records"],
            present=set(run["present"]),
            start=None if run["start"] is None else self.hours(run["start"]),
            end=self.hours(run["end"]),
            full=run["start"] is None,
            batch=(run["run_id"], run["extracted_at"]),
            digest=self.digest,
            crash=not done,
        )
        added = self.model.log[before:]
        self.seen["observations"] += len(added)
        self.seen["deletions"] += sum(row["_change"] == "delete" for row in added)
        self.seen["runs"] += 1

    def compare(self, manifest: Any) -> None:
        """Every row and every property."""
        ours = [self.comparable(row) for row in self.lake.rows("changes")]
        theirs = [self.comparable(row) for row in self.model.log]
        assert [row for row in ours if row not in theirs] == []
        assert [row for row in theirs if row not in ours] == []
        assert len(ours) == len(theirs)
        mirror = {key: self.comparable(row) for key, row in self.lake.mirror().items()}
        assert mirror == {key: self.comparable(row) for key, row in self.model.mirror.items()}
        state = self.lake.state()
        assert (state.watermark, state.last_full_refresh) == (self.model.watermark, self.model.last_full_refresh)
        assert (manifest.watermark, manifest.mirror_rows) == (state.watermark, len(mirror))
        assert state.rows == len(mirror)

    @staticmethod
    def comparable(row: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
            for name, value in row.items()
            if name != "_observed_columns"
        }


@pytest.mark.parametrize("seed", range(int(os.environ.get("SF_HISTORY_TEST_STORIES", "6"))))
def test_any_order_of_runs_and_crashes_ends_as_the_model_says(
    seed: int, lake: Any, hours_of: Any, user_object: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lake.object_file = user_object.model_copy(update={"min_volume_deviation_rows": 1_000})
    story = Story(seed, lake, hours_of)
    story.live()
    with capsys.disabled():
        print(f"\n  seed {seed}: " + ", ".join(f"{count} {what}" for what, count in sorted(story.seen.items())), end="")
