"""SIGKILL at random moments of extract, validate and upsert; then the run again: the lake is a calm run's."""

from __future__ import annotations

import random

import pytest

from include.staging.manifest import Api
from local.faults.bench import RUNS
from tests.crash.scene import Scene, Toll

LAKES = 5
BOTH = pytest.mark.parametrize("api", ["rest", "bulk"])


@BOTH
@pytest.mark.parametrize("_lake", range(LAKES))
def test_runs_killed_some_times_and_made_again(
    scene: Scene, dice: random.Random, toll: Toll, api: Api, _lake: int
) -> None:
    folder = scene.new_lake()
    for number in RUNS:
        calm = scene.calm(api, number)
        run = scene.run(folder, api, number)
        scene.kill_some(run, calm, dice, toll, times=dice.choice([2, 4, 6]))
        if dice.random() < 0.5:
            run.clear()
        scene.live(run)
        scene.check(run, number, toll)
    toll.orphans += scene.orphans(folder)
