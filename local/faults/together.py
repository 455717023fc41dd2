"""Stories of two runs at the same time, each in a process of its own."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

from include.salesforce.window import RunRequest
from include.staging.manifest import Api
from local.faults.bench import RUNS, Bench, numbered_run
from local.faults.deletions import scheduled
from local.faults.story import Stage, Story
from local.faults.world import MIDNIGHT, NOON, SIX, world_events
from local.org.handle import OrgHandle


def stories() -> list[Story]:
    """All of them."""
    return [
        Story(fault="the first load, triggered twice at once", play=_first_load_twice),
        Story(fault="a window, triggered twice at once", play=_window_twice, api="bulk"),
        Story(fault="a backfill beside a scheduled run", play=_backfill_beside),
    ]


def _first_load_twice(stage: Stage) -> None:
    stage.happens(world_events())
    stage.org.set_clock(SIX)
    _at_once(stage, [numbered_run(1), numbered_run(1)])
    _like_a_calm_lake(stage, runs=(1,))


def _window_twice(stage: Stage) -> None:
    stage.happens(world_events())
    stage.org.set_clock(SIX)
    stage.bench("together").run(numbered_run(1))
    stage.org.set_clock(NOON)
    _at_once(stage, [numbered_run(2), numbered_run(2)])
    _like_a_calm_lake(stage, runs=(1, 2))


def _backfill_beside(stage: Stage) -> None:
    """Both see the present. What the backfill logs of it is of an earlier window, so only the mirror is the same."""
    stage.happens(world_events())
    stage.org.set_clock(SIX)
    stage.bench("together").run(numbered_run(1))
    stage.org.set_clock(NOON)
    interval = (MIDNIGHT, SIX)
    backfill = RunRequest(kind="backfill", run_after=NOON + timedelta(minutes=1), logical_date=SIX, interval=interval)
    _at_once(stage, [scheduled(NOON), backfill])
    _like_a_calm_lake(stage, runs=(1, 2), mirror_only=True)


def _at_once(stage: Stage, requests: list[RunRequest]) -> None:
    home, folder = stage.org.home.root, stage.folder / "together"
    with ProcessPoolExecutor(len(requests), mp_context=multiprocessing.get_context("spawn")) as pool:
        started = [
            pool.submit(_one_run, home, folder, stage.api, request, f"run {number}")
            for number, request in enumerate(requests)
        ]
        attempts = [future.result() for future in started]
    stage.see(f"nothing: both runs succeed (commits tried: {', '.join(map(str, attempts))})")


def _one_run(home: Path, folder: Path, api: Api, request: RunRequest, run_id: str) -> int:
    return Bench(OrgHandle(home), folder, api=api).run(request, run_id=run_id).attempts


def _like_a_calm_lake(stage: Stage, *, runs: tuple[int, ...], mirror_only: bool = False) -> None:
    calm = stage.bench("calm")
    for number in runs:
        stage.org.set_clock(RUNS[number])
        calm.run(numbered_run(number))
    together = stage.bench("together")
    if mirror_only:
        stage.equal(together.lake().mirror.items(), calm.lake().mirror.items(), what="mirror")
    else:
        stage.compare(together.lake(), calm.lake())
    twice = [row for row, count in Counter(together.log(("_row_hash",))).items() if count > 1]
    stage.expect(not twice, f"logged twice: {twice[:3]}")
