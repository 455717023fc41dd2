"""SIGKILL around the making and the deleting of a Bulk job: none is left in the org, whether its id arrived or not."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import pytest

from local.faults.bench import RUNS
from local.faults.killing import strike
from tests.crash.lives import Call, live_run_dying_in
from tests.crash.scene import Scene, Toll, files_of, scheduled_run

#: The intent, the job's id, the manifest; the job's deletion.
PLACES: list[tuple[Call, int]] = [("write_text", 1), ("write_text", 2), ("write_text", 3), ("delete", 1)]
SIDES = pytest.mark.parametrize("side", ["before", "after"])


@SIDES
@pytest.mark.parametrize(("call", "nth"), PLACES)
def test_no_job_is_left_when_the_run_is_made_again(
    scene: Scene, toll: Toll, call: Call, nth: int, side: Literal["before", "after"]
) -> None:
    run = scene.run(scene.new_lake(), "bulk", 1)
    for _ in range(3):
        fate = strike(live_run_dying_in, run, call, nth, side, log=run.folder.with_suffix(".log"))
        assert not fate.error, fate.error
        assert fate.killed
        toll.kills[f"extract, {side} {call}"] += 1
    scene.live(run)
    scene.check(run, 1, toll)


@SIDES
def test_the_job_of_an_abandoned_run_goes_when_no_such_run_can_live_any_more(
    scene: Scene, toll: Toll, side: Literal["before", "after"]
) -> None:
    folder = scene.new_lake()
    run = scene.run(folder, "bulk", 1)
    fate = strike(live_run_dying_in, run, "write_text", 2, side, log=run.folder.with_suffix(".log"))
    assert fate.killed
    toll.kills["extract, abandoned"] += 1
    scene.live(scene.run(folder, "bulk", 2, scheduled_run(2)))
    assert sum(scene.org.stats()["bulk_jobs"].values()) == 1
    late = scene.run(folder, "bulk", 3, scheduled_run(3))
    scene.org.set_clock(RUNS[1] + timedelta(hours=49))
    scene.live(late)
    assert scene.org.stats()["bulk_jobs"] == {}
    assert files_of(folder / "staging" / "_bulk_jobs") == set()
