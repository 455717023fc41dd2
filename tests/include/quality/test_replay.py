"""Replaying the quarantine: exactly what would have been logged had the rules been as they are now, once."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.lake.watermark import LakeState
from include.quality import replay
from include.quality.validation import TooManyRejects
from include.salesforce.convert import schema_of
from include.salesforce.ids import to_18
from include.staging import store
from tests.include.quality.replay_lake import RELAXED, STRICT, Lake, at
from tests.include.quality.rows import FILE, NOON, user, user_id


def same_but_for_runs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "_extraction_run_id"} for row in rows]


def test_a_replayed_record_is_logged_at_its_place_as_if_it_had_been_accepted(
    lake: Lake, make_lake: Callable[[str], Lake]
) -> None:
    calm = make_lake("calm")
    for one, file in ((lake, STRICT), (calm, RELAXED)):
        if one is calm:
            one.run(at(-1, 0), at(-1, 1), hour=0, file=file)
        one.run(at(0.5, 1, name=None, division="South"), at(0.5, 2, name=""), hour=1, file=file)
        one.run(at(1.5, 1, name="back", division="West"), hour=2, file=file)
    assert len(lake.log(1, 2)) == 2
    told = lake.replay()
    assert (told.replayed, told.batches, told.logged, told.inserted, told.updated) == (2, 1, 2, 1, 0)
    assert same_but_for_runs(lake.log()) == same_but_for_runs(calm.log())
    assert same_but_for_runs(lake.rows("sf_user")) == same_but_for_runs(calm.rows("sf_user"))
    batch = {(row["_extraction_run_id"], row["_window_end"]) for row in lake.log(2)}
    assert batch == {("replayed lake_1", NOON + timedelta(hours=1))}


def test_a_second_replay_commits_nothing(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    lake.replay()
    before = lake.metadata()
    told = lake.replay()
    assert (told.replayed, told.logged, told.batches) == (0, 0, 0)
    assert lake.metadata() == before


def test_a_crash_before_the_mark_is_made_good_by_marking(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run(at(0.5, 1, name=None), at(0.5, 2, name=None), hour=1)

    def die(**_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(replay, "mark_replayed", die)
        with pytest.raises(KeyboardInterrupt):
            lake.replay()
    assert [entry.state for entry in lake.list().entries] == ["can be replayed"] * 2
    log, mirror, _ = lake.metadata()
    told = lake.replay()
    assert (told.replayed, told.logged) == (2, 0)
    assert lake.metadata()[:2] == [log, mirror]
    assert [entry.state for entry in lake.list().entries] == ["replayed"] * 2


@pytest.mark.parametrize("hours", [1, 9])
def test_a_replay_never_moves_watermark_or_refresh(lake: Lake, hours: int) -> None:
    """Even that of a run past the watermark, which the gate stopped: its other records are still to come."""
    file = STRICT.model_copy(update={"max_error_percent": 5.0})
    with pytest.raises(TooManyRejects):
        lake.run(at(hours - 0.5, 1, name=None), hour=hours, file=file)
    before = LakeState.of(lake.catalog.load_table("sf_raw.sf_user"))
    assert lake.replay().logged == 1
    after = LakeState.of(lake.catalog.load_table("sf_raw.sf_user"))
    assert (after.watermark, after.last_full_refresh) == (before.watermark, before.last_full_refresh) == (NOON, NOON)
    assert after.newest_window_end == NOON + timedelta(hours=hours)
    lake.run(at(hours - 0.5, 1, name=None), at(hours - 0.5, 2), hour=hours, file=RELAXED, attempt=1)
    assert [row["id"] for row in lake.log(1, 2)] == [user_id(1), user_id(1), user_id(2)]


def test_the_same_refusal_run_after_run_is_one_observation(lake: Lake) -> None:
    for hour in (1, 2, 3):
        lake.run(at(0.5, 1, name=None), hour=hour)
    entry = lake.entry()
    assert (entry.times_seen, entry.state) == (3, "can be replayed")
    assert entry.first_seen <= entry.last_seen
    told = lake.replay()
    assert (told.replayed, told.batches, told.logged) == (3, 3, 1)
    assert [row["_window_end"] for row in lake.log(1)] == [NOON, NOON + timedelta(hours=1)]


def test_every_type_comes_back_as_it_was(lake: Lake, make_lake: Callable[[str], Lake]) -> None:
    odd = {
        "division": "NUL \x00, quote ' \" and 東京 🎉 \u202e",
        "username": "",
        "isactive": None,
        "lastmodifieddate": datetime(1, 1, 1, tzinfo=UTC),
        "systemmodstamp": NOON + timedelta(minutes=1, microseconds=123456),
    }
    calm = make_lake("calm")
    calm.run(at(-1, 0), at(-1, 1), hour=0, file=RELAXED)
    calm.run(user(2, name=None, **odd), hour=1, file=RELAXED)
    lake.run(user(2, name=None, **odd), hour=1)
    assert lake.replay().logged == 1
    assert same_but_for_runs(lake.log(2)) == same_but_for_runs(calm.log(2))


def test_what_was_not_read_stays_unknown(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None, division=None), hour=1, unread=("Division",))
    lake.replay()
    observed = lake.log(1)[-1]["_observed_columns"].split(",")
    assert "division" not in observed
    assert {"id", "isdeleted", "name"} <= set(observed)


def test_a_field_that_the_object_file_lists_no_more_is_not_claimed_as_seen(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    fields = tuple(name for name in RELAXED.fields if name != "Username")
    lake.replay(RELAXED.model_copy(update={"fields": fields, "unique": ("Id",)}))
    assert "username" not in lake.log(1)[-1]["_observed_columns"]


def test_a_repeat_of_the_run_keeps_what_was_replayed(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), at(0.5, 2, id="x"), hour=1)
    lake.replay()
    before = lake.metadata()
    lake.run(at(0.5, 1, name=None), at(0.5, 2, id="x"), hour=1, attempt=1)
    assert lake.metadata() == before
    lake.run(at(0.5, 1, name=None), at(0.5, 3, id="y"), hour=1, attempt=2)
    rows = {row["id"]: row["_replayed_at"] for row in lake.rows("sf_user_quarantine")}
    assert set(rows) == {user_id(1), "y"}
    assert rows[user_id(1)] is not None
    assert rows["y"] is None


def test_a_record_past_the_windows_end_is_the_next_windows(lake: Lake) -> None:
    lake.run(at(2, 1, name=None), hour=1)
    told = lake.replay()
    assert (told.replayed, told.logged) == (1, 0)


def test_many_records_of_many_runs_are_replayed_in_parts(lake: Lake) -> None:
    for hour in (1, 2):
        lake.run(*(at(hour - 0.5, number, name=None) for number in range(10)), hour=hour)
    assert RELAXED.batch_size == 3
    told = lake.replay()
    assert (told.replayed, told.batches, told.logged) == (20, 2, 20)


def test_staged_rows_have_the_schema_that_extract_gives_them(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    plan = lake.staged(run_id="again").plan
    written: list[pa.Schema] = []
    write = store.write_parquet

    def note(folder: str, batches: Any, schema: pa.Schema, stem: str) -> list[str]:
        written.append(schema)
        return write(folder, batches, schema, stem)

    monkeypatch.setattr(store, "write_parquet", note)
    lake.replay()
    assert written == [schema_of(plan, FILE)]


def test_a_replay_does_not_bring_back_who_was_erased(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """She is erased between the judging and the upsert: her record is staged for the replay by then."""
    lake.run(at(0.5, 1, name=None), at(0.5, 2, name=None), hour=1)
    upsert = replay.upsert

    def erased_just_before(*arguments: Any) -> Any:
        lake.flow().erase([to_18(user_id(2)[:15])], run_id="erase", alone=True)
        return upsert(*arguments)

    monkeypatch.setattr(replay, "upsert", erased_just_before)
    lake.replay()
    assert [row["id"] for row in lake.rows("sf_user_quarantine")] == [user_id(1)]
    assert user_id(2) not in {row["id"] for name in ("sf_user", "sf_user_changes") for row in lake.rows(name)}
    assert len(lake.log(1)) == 2


@pytest.mark.parametrize(("age", "left"), [(timedelta(hours=49), False), (timedelta(hours=47), True)])
def test_what_a_killed_replay_has_staged_goes_when_nobody_can_be_at_it(lake: Lake, age: timedelta, left: bool) -> None:
    lake.run(at(0.5, 7, name=None), hour=1)
    staging = Path(lake.environment.staging_uri) / STRICT.table
    files = [staging / name / "000000" / "accepted-00000.parquet" for name in ("replay-0123", "scheduled__1")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"a person")
        moment = (datetime.now(UTC) - age).timestamp()
        os.utime(file, (moment, moment))
    lake.replay()
    assert [file.exists() for file in files] == [left, True]
    store.remove(str(staging / "replay-0123"))
