"""SIGKILL right before and right after every change of the catalog: tables made, quarantine, log, mirror, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from include.lake.run_log import read_runs, record_run
from include.lake.turn import TURN, give_back_turn, take_turn
from local.faults.bench import RUNS, Bench
from local.faults.killing import AtCommit, Run, Tell, changes_told, strike
from local.lake.catalog import lake_folder
from local.org.handle import OrgHandle
from tests.crash.scene import Scene, Toll, task_of

SIDES: tuple[Literal["before", "after"], ...] = ("before", "after")


@pytest.mark.parametrize("side", SIDES)
def test_runs_killed_at_each_commit_and_made_again(scene: Scene, toll: Toll, side: Literal["before", "after"]) -> None:
    most = max(scene.calm("rest", number).changes for number in RUNS)
    assert most >= 7, "a first load makes four tables, puts rejects into quarantine, and commits to log and mirror"
    for nth in range(1, most + 1):
        folder = scene.new_lake()
        for number in RUNS:
            calm = scene.calm("rest", number)
            run = scene.run(folder, "rest", number)
            fate = scene.kill_at(run, AtCommit(nth=(nth - 1) % calm.changes + 1, side=side))
            assert fate.killed
            toll.kills[f"{task_of(fate)}, {side} a commit"] += 1
            if nth % 2:
                run.clear()
            scene.live(run)
            scene.check(run, number, toll)
        toll.orphans += scene.orphans(folder)


def test_a_run_that_dies_after_every_single_commit_gets_there(scene: Scene, toll: Toll) -> None:
    folder = scene.new_lake()
    for number in RUNS:
        run = scene.run(folder, "rest", number)
        died = 0
        while scene.kill_at(run, AtCommit(nth=1, side="after")).killed:
            died += 1
            run.clear()
        # One more than in calm: the mirror first takes what the log has, then moves its watermark.
        assert died == scene.calm("rest", number).changes + 1
        toll.kills["each commit in turn"] += died
        scene.check(run, number, toll)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("nth", "table"), [(1, "new"), (2, "new"), (1, "there"), (1, "there, with this run")])
def test_a_run_that_dies_while_it_is_recorded_is_recorded_once(
    toll: Toll, tmp_path: Path, nth: int, side: Literal["before", "after"], table: str
) -> None:
    catalog = lake_folder(tmp_path).open_catalog()
    row = {"run_id": "it's a run", "object": "User", "mirror_rows": 2}
    if table != "new":
        record_run(catalog, "sf_ops", {**row, "object": "Account"})
    if table == "there, with this run":
        record_run(catalog, "sf_ops", {**row, "mirror_rows": 1})
    fate = strike(live_record, tmp_path, row, AtCommit(nth=nth, side=side), log=tmp_path / "log")
    assert not fate.error, fate.error
    assert fate.killed
    toll.kills["record_run"] += 1
    record_run(catalog, "sf_ops", row)
    found = [one for one in read_runs(catalog, "sf_ops").to_pylist() if one["object"] == "User"]
    assert [(one["run_id"], one["mirror_rows"]) for one in found] == [("it's a run", 2)]
    toll.rows += read_runs(catalog, "sf_ops").num_rows


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("act", ["take", "give back"])
def test_a_turn_that_a_dead_run_has_is_taken_again_by_it_or_by_the_next(
    scene: Scene, toll: Toll, act: str, side: Literal["before", "after"]
) -> None:
    run = scene.run(scene.new_lake(), "rest", 1)
    scene.live(run)
    flow = Bench(scene.org, run.folder, api="rest").flow
    turn = {"catalog": flow.catalog, "tables": flow.tables}
    for next_one in ("dead", "next"):
        if act == "give back":
            assert take_turn(**turn, run_id="dead", goes_on=lambda _: False) is None
        fate = strike(live_turn, run, act, AtCommit(nth=1, side=side), log=run.folder.with_suffix(".log"))
        assert not fate.error, fate.error
        assert fate.killed
        toll.kills[f"turn, {side} a commit"] += 1
        assert take_turn(**turn, run_id=next_one, goes_on=lambda holder: holder != "dead") is None
        give_back_turn(**turn, run_id=next_one)
        assert flow.catalog.load_table(flow.tables.ledger).properties[TURN] == ""


def live_turn(tell: Tell, run: Run, act: str, dies: AtCommit) -> None:
    """Take the turn or give it back, in a process of its own."""
    flow = Bench(OrgHandle(run.home), run.folder, api="rest").flow
    with changes_told(tell, dies):
        if act == "take":
            take_turn(flow.catalog, flow.tables, run_id="dead", goes_on=lambda _: False)
        else:
            give_back_turn(flow.catalog, flow.tables, run_id="dead")


def live_record(tell: Tell, lake: Path, row: dict[str, object], dies: AtCommit) -> None:
    """Record a run, in a process of its own."""
    with changes_told(tell, dies):
        record_run(lake_folder(lake).open_catalog(), "sf_ops", row)
