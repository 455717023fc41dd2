"""Crashes between commits, and writers that get between planning and commit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException

from include.lake.by_worker import ByWorker
from include.lake.upsert import UpsertContended, upsert

Hours = Callable[[float], datetime]


class Crash(Exception):
    """The process died here."""


def crash_at(step: str) -> Callable[[str], None]:
    def on_step(reached: str) -> None:
        if reached == step:
            raise Crash

    return on_step


def once_at(step: str, action: Callable[[], Any]) -> Callable[[str], None]:
    """Let something else happen the first time a step is reached."""
    waiting = [action]

    def on_step(reached: str) -> None:
        if reached == step and waiting:
            waiting.pop()()

    return on_step


def test_a_rerun_after_a_crash_between_the_commits_ends_the_same(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1, division="North")], end=6)
    staged = lake.staged([lake.record("a", 7, division="South"), lake.record("b", 8)], start=5, end=12)
    with pytest.raises(Crash):
        lake.upsert(staged, on_step=crash_at("logged"))
    assert lake.mirror()["a"]["division"] == "North"
    assert lake.state().watermark == hours_of(6)
    manifest = lake.upsert(staged)
    assert (manifest.recovered, manifest.logged, manifest.inserted, manifest.updated) == (2, 0, 0, 0)
    assert lake.mirror()["a"]["division"] == "South"
    assert manifest.watermark == hours_of(12)
    assert lake.snapshots() == (2, 2)
    assert lake.upsert(staged).recovered == 0
    assert lake.snapshots() == (2, 2)


def test_a_crash_on_the_first_load_is_made_good_by_the_next_run(lake: Any, hours_of: Hours) -> None:
    everyone = [lake.record(f"{number:03d}", 1) for number in range(50)]
    with pytest.raises(Crash):
        lake.upsert(lake.staged(everyone, end=6), on_step=crash_at("logged"))
    assert lake.state().is_empty
    manifest = lake.run(everyone, end=12)
    assert (manifest.recovered, manifest.logged, manifest.mirror_rows) == (50, 0, 50)
    assert manifest.watermark == hours_of(12)


def test_another_run_recovers_what_a_crashed_one_logged(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    crashed = lake.staged([lake.record("a", 7, division="South")], start=5, end=12)
    with pytest.raises(Crash):
        lake.upsert(crashed, on_step=crash_at("logged"))
    manifest = lake.run([lake.record("b", 13, division="East")], start=5, end=18)
    assert (manifest.recovered, manifest.updated) == (1, 1)
    assert lake.upsert(crashed).logged == 0
    assert {key: row["division"] for key, row in lake.mirror().items()} == {"a": "South", "b": "East"}


def test_recovery_finds_everything_when_the_applied_snapshot_has_expired(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    applied = lake.state().applied_changes_snapshot
    with pytest.raises(Crash):
        lake.upsert(lake.staged([lake.record("a", 7, division="South")], start=5, end=12), on_step=crash_at("logged"))
    lake.table("changes").maintenance.expire_snapshots().by_id(applied).commit()
    manifest = lake.run([], start=5, end=12)
    assert manifest.recovered == 1
    assert lake.mirror()["a"]["division"] == "South"


def test_a_mirror_that_was_dropped_is_rebuilt_from_the_log(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1), lake.record("c", 1)], end=6)
    lake.run([lake.record("a", 7, division="South")], start=5, end=12)
    lake.run([lake.record("a", 7, division="South"), lake.record("b", 1)], end=18)
    before = lake.mirror()
    lake.catalog.drop_table(lake.tables.mirror)
    assert lake.state().is_empty
    manifest = lake.run([lake.record("a", 7, division="South"), lake.record("b", 1)], end=24)
    assert (manifest.recovered, manifest.logged, manifest.watermark) == (3, 0, hours_of(24))
    assert lake.mirror() == before


def test_rows_logged_by_another_run_since_planning_make_it_plan_again(lake: Any) -> None:
    lake.run([lake.record("a", 1)], end=6)
    same = lake.record("a", 7, division="South")
    other = lake.staged([same], start=5, end=12, run_id="the other")
    mine = lake.staged([same, lake.record("b", 8)], start=5, end=12, run_id="mine")
    manifest = lake.upsert(mine, on_step=once_at("planned", lambda: lake.upsert(other)))
    assert (manifest.attempts, manifest.logged, manifest.inserted) == (2, 1, 1)
    assert len(lake.rows("changes")) == 3
    assert len(lake.mirror()) == 2


def test_whoever_is_between_its_commits_while_another_run_passes_converges(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1), lake.record("c", 1)], end=6)
    older = lake.staged([lake.record("a", 7, division="old"), lake.record("b", 7, division="old")], start=5, end=12)
    newer = lake.staged([lake.record("a", 13, division="new"), lake.record("c", 13)], start=5, end=18)
    seen: list[Any] = []
    manifest = lake.upsert(older, on_step=once_at("logged", lambda: seen.append(lake.upsert(newer))))
    assert seen[0].recovered == 2
    assert (manifest.logged, manifest.attempts) == (2, 2)
    assert {key: row["division"] for key, row in lake.mirror().items()} == {"a": "new", "b": "old", "c": None}
    assert lake.state().watermark == hours_of(18)


def test_own_rows_applied_on_the_second_attempt_are_not_called_recovered(lake: Any) -> None:
    lake.run([lake.record("a", 1)], end=6)

    def move_the_watermark() -> None:
        with lake.table("mirror").transaction() as transaction:
            transaction.set_properties({"sf-history.watermark": "2026-01-05T06:30:00Z"})

    staged = lake.staged([lake.record("a", 7), lake.record("b", 7)], start=5, end=12)
    manifest = lake.upsert(staged, on_step=once_at("logged", move_the_watermark))
    assert (manifest.inserted, manifest.updated, manifest.recovered, manifest.attempts) == (1, 1, 0, 2)


def test_a_slow_run_does_not_move_the_watermark_back(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1)], end=6)
    slow = lake.staged([], start=5, end=12)
    manifest = lake.upsert(slow, on_step=once_at("planned", lambda: lake.run([], start=5, end=18)))
    assert manifest.attempts == 2
    assert manifest.watermark == lake.state().watermark == hours_of(18)
    assert lake.snapshots() == (1, 1)


def test_the_right_to_delete_is_checked_again_at_the_commit(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    refresh = lake.staged([lake.record("b", 1)], end=12)
    manifest = lake.upsert(refresh, on_step=once_at("planned", lambda: lake.run([], start=5, end=18)))
    assert (manifest.deleted, manifest.logged, manifest.attempts) == (0, 0, 2)
    assert manifest.last_full_refresh == hours_of(6)
    assert not lake.mirror()["a"]["isdeleted"]


def test_what_was_unchanged_at_planning_is_judged_again_beside_a_deletion(lake: Any) -> None:
    record = lake.record("a", 1)
    lake.run([record, lake.record("b", 1)], end=6)
    sees_it = lake.staged([record], start=0, end=18)
    refresh = lake.staged([lake.record("b", 1)], end=12)
    manifest = lake.upsert(sees_it, on_step=once_at("planned", lambda: lake.upsert(refresh)))
    assert (manifest.attempts, manifest.logged) == (2, 1)
    assert not lake.mirror()["a"]["isdeleted"]


def test_it_is_judged_again_even_if_the_other_run_has_only_reached_the_log(lake: Any) -> None:
    record = lake.record("a", 1)
    lake.run([record, lake.record("b", 1)], end=6)
    sees_it = lake.staged([record], start=0, end=18)
    refresh = lake.staged([lake.record("b", 1)], end=12)

    def log_and_die() -> None:
        with pytest.raises(Crash):
            lake.upsert(refresh, on_step=crash_at("logged"))

    manifest = lake.upsert(sees_it, on_step=once_at("planned", log_and_die))
    assert (manifest.attempts, manifest.recovered, manifest.logged) == (2, 1, 1)
    assert not lake.mirror()["a"]["isdeleted"]


def test_endless_conflicts_end_in_an_error_that_says_what_to_do(lake: Any) -> None:
    lake.run([lake.record("a", 1)], end=6)
    hour = iter(range(100))

    def always(step: str) -> None:
        if step == "planned":
            lake.run([lake.record("z", 7 + next(hour) / 10)], start=5, end=12)

    with pytest.raises(UpsertContended, match=r"each of 3 attempts.*sf_user_pipeline.*clear this task"):
        lake.upsert(lake.staged([lake.record("b", 8)], start=5, end=12), attempts=3, on_step=always)


def test_a_commit_whose_answer_was_lost_is_not_repeated(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run([lake.record("a", 1)], end=6)
    commit = lake.catalog.commit_table
    lost: list[str] = []

    def commit_and_lose_the_answer(table: Any, requirements: Any, updates: Any) -> Any:
        answer = commit(table, requirements, updates)
        if len(lost) < 2 and any(type(update).__name__ == "AddSnapshotUpdate" for update in updates):
            lost.append(".".join(table.name()))
            raise CommitFailedException("the catalog says: version mismatch")
        return answer

    monkeypatch.setattr(lake.catalog, "commit_table", commit_and_lose_the_answer)
    manifest = lake.run([lake.record("a", 7, division="South"), lake.record("b", 7)], start=5, end=12)
    assert lost == ["sf_raw.sf_user_changes", "sf_raw.sf_user"]
    assert (manifest.logged, manifest.inserted, manifest.updated, manifest.attempts) == (2, 1, 1, 1)
    assert len(lake.rows("changes")) == 3
    assert lake.mirror()["a"]["division"] == "South"


def test_writers_at_once_lose_nothing_and_double_nothing(lake: Any, hours_of: Hours) -> None:
    writers, shared = 4, [lake.record(f"shared {number}", 1, division="North") for number in range(20)]
    staged = [
        lake.staged(
            [*shared, *(lake.record(f"own {writer} {number}", 2 + writer) for number in range(10))],
            end=6 + writer,
            run_id=f"writer {writer}",
        )
        for writer in range(writers)
    ]
    object_file = lake.object_file.model_copy(update={"max_volume_deviation_percent": 100.0})
    start = threading.Barrier(writers)

    def write(number: int) -> Any:
        catalog = lake.connect()
        start.wait()
        return upsert(catalog, object_file, lake.environment, staged[number], attempts=30)

    with ThreadPoolExecutor(writers) as pool:
        manifests = list(pool.map(write, range(writers)))
    mirror = lake.mirror()
    log = lake.rows("changes")
    keys = [(row["id"], row["_window_end"], row["_row_hash"], row["_change"]) for row in log]
    assert len(keys) == len(set(keys))
    assert sum(manifest.logged for manifest in manifests) == len(log)
    assert set(mirror) == {row["id"] for row in log}
    assert len(mirror) == 20 + 10 * writers
    for key, row in mirror.items():
        last = max(
            (seen for seen in log if seen["id"] == key),
            key=lambda seen: (seen["_window_end"], seen["systemmodstamp"], seen["_extracted_at"], seen["_row_hash"]),
        )
        assert (row["_row_hash"], row["_extraction_run_id"]) == (last["_row_hash"], last["_extraction_run_id"])
    assert lake.state().watermark == hours_of(6 + writers - 1)
    assert [row["_row_hash"] for row in mirror.values() if row["id"].startswith("shared")]


@pytest.mark.parametrize("crashes", [True, False])
def test_what_cannot_be_cleared_away_hides_nothing(
    lake: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, crashes: bool
) -> None:
    def refuse(_: Any) -> None:
        raise OSError("the store is gone")

    monkeypatch.setattr(ByWorker, "clear_away", refuse)
    staged = lake.staged([lake.record("a", 1)], end=6)
    if crashes:
        with pytest.raises(Crash):
            lake.upsert(staged, on_step=crash_at("planned"))
    else:
        assert lake.upsert(staged).logged == 1
    assert "could not be removed, and is left: the store is gone" in caplog.text
