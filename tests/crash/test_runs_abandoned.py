"""A run that was killed and that nobody makes again: the next run of the schedule leaves what calm runs leave.

What the log may then lack is the state that the abandoned run alone would have seen: one that had changed again, or
whose record had gone, before the next run read it. The last state of a record that is still there is never lacking. The
window end of an observation is that of the run that logged it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from include.staging.manifest import Api
from local.faults.bench import RUNS, Bench
from local.faults.killing import AtCommit
from local.faults.world import expected_users
from tests.crash.scene import Scene, Toll, scheduled_run

_OF_THE_RUN = {"_extracted_at", "_extraction_run_id", "_window_end"}


@pytest.mark.parametrize("api", ["rest", "bulk"])
@pytest.mark.parametrize("abandoned", [1, 2, 3])
def test_the_next_run_makes_good_what_was_abandoned(
    scene: Scene, dice: random.Random, toll: Toll, api: Api, abandoned: int
) -> None:
    timing = scene.calm(api, abandoned)
    calm, folder = scene.new_lake(), scene.new_lake()
    for number in RUNS:
        scene.live(scene.run(calm, api, number, scheduled_run(number)))
    after = abandoned + 1
    for number in RUNS:
        run = scene.run(folder, api, number, scheduled_run(number))
        if number == abandoned:
            scene.kill_some(run, timing, dice, toll, times=3)
        else:
            scene.live(run)
    if after > max(RUNS):  # the run after the last one asks for the same span once more
        scene.live(scene.run(folder, api, max(RUNS), scheduled_run(max(RUNS))))
    _compare(scene, api, folder, calm, toll)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("last_but", [0, 1, 2])
def test_a_run_abandoned_between_commits(scene: Scene, toll: Toll, last_but: int, side: Any) -> None:
    nth = scene.calm("rest", 2).changes - last_but
    calm, folder = scene.new_lake(), scene.new_lake()
    for number in RUNS:
        scene.live(scene.run(calm, "rest", number, scheduled_run(number)))
        run = scene.run(folder, "rest", number, scheduled_run(number))
        if number == 2:
            assert scene.kill_at(run, AtCommit(nth=nth, side=side)).killed
            toll.kills[f"abandoned, {side} a commit"] += 1
        else:
            scene.live(run)
    _compare(scene, "rest", folder, calm, toll)


def _compare(scene: Scene, api: Api, folder: Path, calm: Path, toll: Toll) -> None:
    found, expected = Bench(scene.org, folder, api=api), Bench(scene.org, calm, api=api)
    gone = {record for record, values in expected_users(RUNS[max(RUNS)]).items() if values[-1]}
    ours, theirs = found.lake(), expected.lake()
    assert ours.mirror.keys() == theirs.mirror.keys()
    assert {key: ours.mirror[key] for key in ours.mirror.keys() - gone} == {
        key: theirs.mirror[key] for key in theirs.mirror.keys() - gone
    }
    assert ours.state[0] == theirs.state[0]
    logged, seen = _observations(found), _observations(expected)
    assert logged.keys() == seen.keys()
    for record, states in seen.items():
        rest = iter(states)
        assert all(state in rest for state in logged[record]), f"{record}: {logged[record]} is not within {states}"
        assert logged[record][-1] == states[-1] or record in gone
    toll.rows += sum(len(states) for states in seen.values()) + len(theirs.mirror)
    toll.reruns += 1
    toll.orphans += scene.orphans(folder)


def _observations(bench: Bench) -> dict[str, list[dict[str, Any]]]:
    """Record → its states in the log, in order."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    rows = bench.flow.catalog.load_table(bench.flow.tables.changes).scan().to_arrow().to_pylist()
    for row in sorted(rows, key=lambda row: (row["_window_end"], row["systemmodstamp"])):
        found[row["id"]].append({name: value for name, value in row.items() if name not in _OF_THE_RUN})
    return found
