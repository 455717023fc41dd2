"""The upsert by a real Trino: the rules and the interruptions that hold for the worker, word by word, and its own.

The tests that are imported run here on a lake whose upserts Trino does.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.exceptions import CommitFailedException

from include.config.environment import current_environment
from include.config.object_file import ObjectFile
from include.config.operating import Upsert
from include.lake.by_engine import ByEngine
from include.lake.data_files import FILE_BYTES
from include.lake.erasure import erase
from include.lake.scratch import Scratch
from include.lake.short_lived import drop_leftovers
from include.lake.sql_engine import EngineFailed
from include.lake.upsert import upsert
from include.salesforce.ids import to_18
from include.upkeep.compaction import compact
from local.cloud.aws import Aws
from local.cloud.trino import Trino as Server
from salesforce_history.sql_engines import Trino
from tests.engines.engine_lake import EngineLake, trino_connection
from tests.include.lake import test_upsert_against_model as against_model
from tests.include.lake.test_upsert_interrupted import (  # noqa: F401 - tests that hold here as well
    Crash,
    crash_at,
    once_at,
    test_a_mirror_that_was_dropped_is_rebuilt_from_the_log,
    test_a_rerun_after_a_crash_between_the_commits_ends_the_same,
    test_another_run_recovers_what_a_crashed_one_logged,
    test_own_rows_applied_on_the_second_attempt_are_not_called_recovered,
    test_rows_logged_by_another_run_since_planning_make_it_plan_again,
    test_the_right_to_delete_is_checked_again_at_the_commit,
    test_what_was_unchanged_at_planning_is_judged_again_beside_a_deletion,
    test_whoever_is_between_its_commits_while_another_run_passes_converges,
)
from tests.include.lake.test_upsert_rules import (  # noqa: F401 - tests that hold here as well
    test_a_deletion_has_observed_what_its_values_had,
    test_a_first_load_fills_log_and_mirror_and_sets_the_watermark,
    test_a_full_refresh_marks_what_is_gone_as_deleted,
    test_a_record_without_cursor_is_logged,
    test_a_return_with_the_old_cursor_is_logged,
    test_a_row_that_equals_a_deletion_found_by_absence_is_still_an_observation,
    test_an_empty_org_is_no_problem,
    test_an_identical_rerun_adds_no_snapshot_anywhere,
    test_an_older_batch_that_arrives_late_is_logged_and_does_not_touch_the_mirror,
    test_every_row_says_which_columns_it_observed,
    test_ids_that_differ_by_case_alone_are_different,
    test_of_two_runs_with_the_same_window_end_the_later_cursor_wins,
    test_rows_at_or_after_the_windows_end_prove_presence_and_are_not_logged,
    test_too_many_gone_is_refused_and_nothing_is_written,
    test_validated_files_with_an_id_twice_are_refused,
    test_without_systemmodstamp_in_the_org_the_cursor_is_what_the_plan_read_by,
)

pytestmark = pytest.mark.trino


@pytest.fixture
def make_lake(
    aws: Aws,
    trino_server: Server,
    tmp_path: Path,
    user_object: ObjectFile,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., EngineLake]:
    """Makes lakes on Glue and S3, as the lakes on tmp_path are made."""
    for name, value in aws.variables().items():
        monkeypatch.setenv(name, value)

    def make(name: str = "lake", object_file: ObjectFile | None = None) -> EngineLake:
        return EngineLake(aws, engine_of(trino_server), object_file or user_object, tmp_path / name)

    return make


@pytest.fixture
def lake(make_lake: Callable[..., EngineLake]) -> EngineLake:
    """An empty lake for User."""
    return make_lake()


def engine_of(server: Server) -> Trino:
    return Trino(current_environment({}), trino_connection(server.port))


def short_lived(lake: EngineLake) -> list[str]:
    """Tables that an upsert has left in the catalog."""
    names = [name for _, name in lake.catalog.list_tables(lake.environment.raw_namespace)]
    return [name for name in names if "__" in name]


def litter(lake: EngineLake) -> list[str]:
    """Files of drafts that no snapshot of the two tables needs, and staged files of upserts."""
    from include.lake.table_files import file_key, needed_files, stored_files
    from include.staging.store import find_folders

    left = []
    for name in ("mirror", "changes"):
        table = lake.table(name)
        needed = needed_files(table)
        left += [one.path for one in stored_files(table) if "/drafts/" in one.path and file_key(one.path) not in needed]
    return left + find_folders(f"s3://{lake.key}/staging", lake.object_file.table, before=datetime.now(UTC))


def test_nothing_is_left_of_an_upsert_but_the_lake(lake: EngineLake) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    lake.run([lake.record("a", 7, division="South")], end=12)
    assert (short_lived(lake), litter(lake)) == ([], [])
    assert {key: row["isdeleted"] for key, row in lake.mirror().items()} == {"a": False, "b": True}
    summary = lake.table("mirror").current_snapshot().summary
    assert (summary["engine-name"], summary["sf-history.run-id"]) == ("trino", "scheduled__2")
    assert lake.state().rows == 2


def test_a_crash_after_the_merge_is_made_good_by_the_same_run(lake: EngineLake, hours_of: Any) -> None:
    lake.run([lake.record("a", 1)], end=6)
    staged = lake.staged([lake.record("a", 7, division="South"), lake.record("b", 8)], start=5, end=12)
    with pytest.raises(Crash):
        lake.upsert(staged, on_step=crash_at("drafted"))
    assert (lake.mirror()["a"]["division"], lake.state().watermark) == (None, hours_of(6))
    manifest = lake.upsert(staged)
    assert (manifest.recovered, manifest.logged, manifest.watermark) == (2, 0, hours_of(12))
    assert lake.mirror()["a"]["division"] == "South"
    assert (short_lived(lake), litter(lake)) == ([], [])


def test_what_a_killed_process_leaves_harms_nobody_and_is_dropped_later(
    lake: EngineLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    staged = lake.staged([lake.record("b", 7, division="South")], end=12)
    with monkeypatch.context() as killed:
        killed.setattr(ByEngine, "clear_away", lambda _: None)
        killed.setattr(Scratch, "__exit__", lambda *_: None)
        killed.setattr("include.lake.draft.Draft._drop_entry", lambda _: None)
        with pytest.raises(Crash):
            lake.upsert(staged, on_step=crash_at("drafted"))
    left = short_lived(lake)
    assert sorted(name.split("__")[1].split("_")[0] for name in left) == [
        "deletions",
        "draft",
        "draft",
        "gone",
        "incoming",
    ]
    # The worst that a person could do with a draft.
    draft = next(name for name in left if name.startswith("sf_user__draft"))
    lake.engine.execute(f"DROP TABLE {lake.environment.raw_namespace}.{draft}", namespace="x", about="x")
    assert lake.upsert(staged).recovered == 2
    assert {key: row["isdeleted"] for key, row in lake.mirror().items()} == {"a": True, "b": False}
    now = datetime.now(UTC)
    for table in (lake.tables.mirror, lake.tables.changes):
        assert drop_leftovers(lake.catalog, table, now=now + timedelta(hours=47)) == []
        drop_leftovers(lake.catalog, table, now=now + timedelta(hours=49))
    assert short_lived(lake) == []
    assert len(lake.rows("changes")) == 4


def test_a_commit_whose_answer_was_lost_is_not_repeated(lake: EngineLake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run([lake.record("a", 1)], end=6)
    commit = lake.catalog.commit_table
    lost: list[str] = []

    def commit_and_lose_the_answer(table: Any, requirements: Any, updates: Any) -> Any:
        answer = commit(table, requirements, updates)
        if "__" not in table.name()[-1] and any(type(update).__name__ == "AddSnapshotUpdate" for update in updates):
            lost.append(table.name()[-1])
            raise CommitFailedException("the catalog says: version mismatch")
        return answer

    monkeypatch.setattr(lake.catalog, "commit_table", commit_and_lose_the_answer)
    manifest = lake.run([lake.record("a", 7, division="South"), lake.record("b", 7)], start=5, end=12)
    assert lost == ["sf_user_changes", "sf_user"]
    assert (manifest.logged, manifest.inserted, manifest.updated, manifest.attempts) == (2, 1, 1, 1)
    assert (len(lake.rows("changes")), lake.mirror()["a"]["division"]) == (3, "South")


@pytest.mark.parametrize("step", ["planned", "logged", "drafted"])
def test_whoever_is_erased_beside_an_upsert_is_gone(lake: EngineLake, step: str) -> None:
    person, other = to_18("005xx0000000001"), to_18("005xx0000000002")
    lake.run([lake.record(other, 1)], end=6)
    staged = lake.staged([lake.record(person, 7), lake.record(other, 7)], start=5, end=12)

    def forget() -> None:
        erase(lake.connect(), lake.object_file, lake.environment, [person], run_id="erase", erased_at=datetime.now(UTC))

    manifest = lake.upsert(staged, on_step=once_at(step, forget))
    assert manifest.attempts == 2
    assert {row["id"] for row in (*lake.rows("changes"), *lake.rows("mirror"))} == {other}
    again = lake.run([lake.record(other, 7)], end=18)
    assert (again.deleted, again.mirror_rows) == (0, 1)
    assert litter(lake) == []


def test_compaction_beside_an_upsert_costs_one_attempt_and_no_row(lake: EngineLake) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    lake.run([lake.record("a", 7, division="South")], start=5, end=12)

    def put_together() -> None:
        for name in ("mirror", "changes"):
            compact(lake.table(name), from_files=2, file_bytes=FILE_BYTES)

    staged = lake.staged([lake.record("a", 13, division="East")], start=11, end=18)
    manifest = lake.upsert(staged, on_step=once_at("drafted", put_together))
    assert (manifest.logged, manifest.attempts) == (1, 2)
    assert len(lake.rows("changes")) == 4
    assert {key: row["division"] for key, row in lake.mirror().items()} == {"a": "East", "b": None}


def test_upserts_at_once_of_both_kinds_lose_nothing_and_double_nothing(lake: EngineLake, trino_server: Server) -> None:
    """The same run twice by the engine, another one by the engine, one by the worker."""
    shared = [lake.record(f"shared {number}", 1, division="North") for number in range(5)]
    staged = [
        lake.staged([*shared, lake.record(f"own {writer}", 2 + writer)], end=6 + writer, run_id=f"writer {writer}")
        for writer in range(3)
    ]
    object_file = lake.object_file.model_copy(
        update={"max_volume_deviation_percent": 100.0, "upsert": Upsert(engine="engine")}
    )
    start = threading.Barrier(4)

    def write(number: int) -> Any:
        engine = engine_of(trino_server) if number != 2 else None
        start.wait()
        return upsert(lake.connect(), object_file, lake.environment, staged[number % 3], engine=engine, attempts=30)

    with ThreadPoolExecutor(4) as pool:
        manifests = list(pool.map(write, range(4)))
    log = lake.rows("changes")
    keys = [(row["id"], row["_window_end"], row["_row_hash"], row["_change"]) for row in log]
    assert len(keys) == len(set(keys)) == sum(manifest.logged for manifest in manifests)
    mirror = lake.mirror()
    assert set(mirror) == {row["id"] for row in log} == {*(f"own {n}" for n in range(3)), *(r["id"] for r in shared)}
    for key, row in mirror.items():
        last = max(
            (seen for seen in log if seen["id"] == key),
            key=lambda seen: (seen["_window_end"], seen["systemmodstamp"], seen["_extracted_at"], seen["_row_hash"]),
        )
        assert (row["_row_hash"], row["_extraction_run_id"]) == (last["_row_hash"], last["_extraction_run_id"])
    assert (short_lived(lake), litter(lake)) == ([], [])


def test_a_statement_that_the_engine_refuses_fails_the_attempt_with_its_reason(
    lake: EngineLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.run([lake.record("a", 1)], end=6)
    execute = lake.engine.execute

    def spoilt(statement: str, **about: str) -> Any:
        return execute(statement.replace("INSERT INTO", "INSERT INTO no_such."), **about)

    monkeypatch.setattr(lake.engine, "execute", spoilt)
    with pytest.raises(EngineFailed, match=r"what is new: trino did not finish query \w+: .*no_such.*begins anew"):
        lake.run([lake.record("a", 7, division="South")], start=5, end=12)
    assert lake.snapshots() == (1, 1)
    assert (short_lived(lake), litter(lake)) == ([], [])


@pytest.mark.parametrize(("seed", "runs", "alternating"), [(0, 8, False), (1, 12, True)])
def test_any_order_of_runs_and_crashes_ends_as_the_model_says(  # noqa: PLR0917
    seed: int,
    runs: int,
    alternating: bool,
    lake: EngineLake,
    hours_of: Any,
    user_object: ObjectFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker's own model; alternating, each upsert is the engine's or the worker's by chance."""
    seed = int(os.environ.get("SF_HISTORY_TEST_SEED", seed))
    monkeypatch.setattr(against_model, "RUNS_PER_LAKE", runs)
    monkeypatch.setattr(against_model, "STEPS", (*against_model.STEPS, "drafted"))
    lake.object_file = user_object.model_copy(update={"min_volume_deviation_rows": 1_000})
    story = against_model.Story(seed, lake, hours_of)
    if alternating:
        by_chance = lake.upsert
        monkeypatch.setattr(
            lake, "upsert", lambda staged, **how: by_chance(staged, by_engine=story.random.random() < 0.5, **how)
        )
    story.live()
