"""An erasure that dies at any step, or has a load get in between, ends with nothing of her left."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.quality import quarantine as quarantine_module
from include.quality.quarantine_table import fingerprints
from tests.include.lake.erasing import HER, NOW, PLACES, ROWS_OF_HERS, fill, forget, people, quarantine, register, user
from tests.include.lake.remains import remains

STEPS = ("recorded", "staged", *PLACES, *(f"expired {place}" for place in PLACES), "looked again", "completed")


class Crash(Exception):
    """The process died here."""


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_made_good_by_asking_again(erasing_lake: Any, step: str) -> None:
    fill(erasing_lake)

    def crash(reached: str) -> None:
        if reached == step:
            raise Crash

    with pytest.raises(Crash):
        forget(erasing_lake, on_step=crash)
    report = forget(erasing_lake, erased_at=NOW + timedelta(hours=1))
    assert report.unfinished == (frozenset() if step == "completed" else frozenset(report.digests))
    assert remains(erasing_lake.folder, HER, HER[:15], "Zzyzx") == []
    (row,) = register(erasing_lake)
    assert {name: row[name] for name in row if name.endswith("_rows")} == ROWS_OF_HERS
    assert row["requested_at"] == NOW
    manifest = erasing_lake.run(people(erasing_lake, at=19), start=17, end=24)
    assert (manifest.recovered, manifest.logged) == (0, 11)
    assert HER not in erasing_lake.mirror()


def test_a_later_refresh_does_not_bring_her_back_nor_call_her_deleted(erasing_lake: Any) -> None:
    fill(erasing_lake)
    forget(erasing_lake)
    manifest = erasing_lake.run(people(erasing_lake, at=13, division="West"), end=24)
    assert (manifest.deleted, manifest.recovered, manifest.mirror_rows) == (0, 0, 11)
    erasing_lake.run(people(erasing_lake, at=25, division="East"), start=23, end=30)
    assert {row["id"] for row in erasing_lake.rows("changes")} == {user(number) for number in range(12)} - {HER}
    assert {row["division"] for row in erasing_lake.rows("mirror")} == {"East"}
    assert remains(erasing_lake.folder / "warehouse", HER, "Zzyzx") == []


def test_the_mirror_knows_that_an_erasure_adds_nothing_to_the_log(erasing_lake: Any) -> None:
    fill(erasing_lake)
    forget(erasing_lake)
    assert erasing_lake.state().applied_changes_snapshot == erasing_lake.table("changes").current_snapshot().snapshot_id
    before = erasing_lake.snapshots()
    assert erasing_lake.run(people(erasing_lake, at=13, division="West")[4:9], start=11, end=18).logged == 0
    assert erasing_lake.snapshots() == before == (1, 1)


def test_what_the_mirror_lacked_is_still_applied_after_an_erasure(erasing_lake: Any) -> None:
    fill(erasing_lake)
    half = erasing_lake.staged([erasing_lake.record(user(number), 19) for number in (2, 7)], start=17, end=24)

    def crash(reached: str) -> None:
        if reached == "logged":
            raise Crash

    with pytest.raises(Crash):
        erasing_lake.upsert(half, on_step=crash)
    forget(erasing_lake)
    manifest = erasing_lake.run([], start=23, end=30)
    assert manifest.recovered == 1
    assert erasing_lake.mirror()[user(2)]["_extracted_at"] == half.extraction.extracted_at
    assert HER not in erasing_lake.mirror()


@pytest.mark.parametrize("at", ["planned", "logged", "recovered"])
@pytest.mark.parametrize("full", [False, True])
def test_whoever_planned_before_an_erasure_plans_again(erasing_lake: Any, at: str, full: bool) -> None:
    fill(erasing_lake)
    if at == "recovered":
        half = erasing_lake.staged(people(erasing_lake, at=19), start=17, end=24)
        with pytest.raises(Crash):
            erasing_lake.upsert(half, on_step=lambda step: crash_at("logged", step))
    span = {"end": 24} if full else {"start": 17, "end": 24}
    staged = erasing_lake.staged(people(erasing_lake, at=19, division="Central"), **span)
    waiting = [lambda: forget(erasing_lake, alone=False)]

    def meanwhile(step: str) -> None:
        if step == at and waiting:
            waiting.pop()()

    manifest = erasing_lake.upsert(staged, on_step=meanwhile)
    assert not waiting
    assert (manifest.attempts > 1, manifest.deleted) == (at != "recovered" or manifest.attempts > 1, 0)
    assert {row["division"] for row in erasing_lake.rows("mirror")} == {"Central"}
    assert HER not in erasing_lake.mirror()
    assert remains(erasing_lake.folder, HER, "Zzyzx") == []


def crash_at(wanted: str, step: str) -> None:
    if step == wanted:
        raise Crash


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("between", STEPS[:-1])
def test_an_erasure_wins_whenever_a_load_gets_in_between(erasing_lake: Any, between: str, known: bool) -> None:
    """A load that was planned before the erasure, and goes on at any of its steps; also of someone not known so far."""
    fill(erasing_lake)
    whom = HER if known else user(50)
    people_now = [*people(erasing_lake, at=19), erasing_lake.record(user(50), 19)]
    staged = erasing_lake.staged(people_now, start=17, end=24)

    def load(step: str) -> None:
        if step == between:
            erasing_lake.upsert(staged)

    forget(erasing_lake, whom, on_step=load, alone=False)
    present = {user(number) for number in (*range(12), 50)} - {whom}
    assert set(erasing_lake.mirror()) == present
    assert {row["id"] for row in erasing_lake.rows("changes")} == present
    forget(erasing_lake, whom)
    assert remains(erasing_lake.folder, whom) == []


def test_a_load_planned_before_cannot_commit_after_even_if_nobody_was_found(erasing_lake: Any) -> None:
    erasing_lake.run(people(erasing_lake), end=6)
    staged = erasing_lake.staged([erasing_lake.record(user(50), 7)], start=5, end=12)
    waiting = [lambda: forget(erasing_lake, user(50))]
    manifest = erasing_lake.upsert(staged, on_step=lambda step: waiting and step == "planned" and waiting.pop()())
    assert (manifest.attempts, manifest.logged) == (2, 0)
    assert remains(erasing_lake.folder, user(50)) == []


def test_an_erasure_under_way_is_no_deletion(erasing_lake: Any) -> None:
    """Recorded, but still in the mirror: a refresh that leaves her out must not take that for her absence."""
    fill(erasing_lake)
    with pytest.raises(Crash):
        forget(erasing_lake, on_step=lambda step: crash_at("recorded", step))
    manifest = erasing_lake.run(people(erasing_lake, at=13, division="West"), end=24)
    assert (manifest.deleted, manifest.logged > 0) == (0, True)
    assert not erasing_lake.mirror()[HER]["isdeleted"]


def test_the_volume_guard_does_not_count_the_erased(erasing_lake: Any) -> None:
    limits = {"min_volume_deviation_rows": 2, "max_volume_deviation_percent": 30.0}
    erasing_lake.object_file = erasing_lake.object_file.model_copy(update=limits)
    everyone = people(erasing_lake)
    erasing_lake.run(everyone, end=6)
    with pytest.raises(Crash):
        forget(erasing_lake, *(user(number) for number in range(5)), on_step=lambda step: crash_at("recorded", step))
    assert erasing_lake.run(everyone[6:], end=12).deleted == 1


def test_files_that_a_killed_run_left_are_removed(erasing_lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(erasing_lake)
    staged = erasing_lake.staged(people(erasing_lake, at=19), start=17, end=24)
    broken = Path(staged.files[0]).with_name("broken.parquet")
    broken.write_bytes(Path(staged.files[0]).read_bytes()[:-8])

    def die(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(erasing_lake.catalog, "commit_table", die)
        with pytest.raises(Crash):
            erasing_lake.upsert(staged)
    forget(erasing_lake)
    assert not broken.exists()
    assert remains(erasing_lake.folder, HER, "Zzyzx") == []


def test_marking_what_was_replayed_beside_an_erasure_loses_no_row(
    erasing_lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """She is not in the quarantine, so the erasure makes no snapshot there: only its property tells the marking."""
    erasing_lake.run(people(erasing_lake), end=6)
    quarantine(erasing_lake, [user(3)], run_id="rejecting")
    rows = erasing_lake.table("quarantine").scan().to_arrow()
    real = quarantine_module.commit_once

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(quarantine_module, "commit_once", real)
        forget(erasing_lake)
        return real(*args, **kwargs)

    monkeypatch.setattr(quarantine_module, "commit_once", overtaken)
    marked = quarantine_module.mark_replayed(
        catalog=erasing_lake.catalog,
        table_name=erasing_lake.tables.quarantine,
        marked=set(fingerprints(rows)),
        replayed_at=NOW,
    )
    now = erasing_lake.table("quarantine").scan().to_arrow().to_pylist()
    assert (marked, [row["_replayed_at"] for row in now]) == (2, [NOW, NOW])
