"""Many runs of a small object leave one file in its mirror, and a bounded number of everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

RUNS = 60


@pytest.fixture
def used_lake(lake: Any) -> Any:
    """A lake after many runs, each with a change and a new record."""
    lake.run([lake.record(f"{number:05d}", 1) for number in range(300)], end=6)
    for run in range(RUNS):
        changed = lake.record(f"{run:05d}", 7 + run, division="East")
        new = lake.record(f"{1_000 + run:05d}", 7 + run)
        lake.run([changed, new], start=5, end=12 + run)
    return lake


def test_nothing_piles_up(used_lake: Any) -> None:
    mirror, log = used_lake.table("mirror"), used_lake.table("changes")
    assert len(list(mirror.scan().plan_files())) == 1
    assert used_lake.snapshots() == (RUNS + 1, RUNS + 1)
    assert len(mirror.current_snapshot().manifests(mirror.io)) <= 9
    assert len(log.current_snapshot().manifests(log.io)) <= 9
    metadata = Path(mirror.metadata_location.removeprefix("file://")).parent
    assert len(list(metadata.glob("*.metadata.json"))) <= 52
    assert used_lake.state().rows == 300 + RUNS == len(used_lake.mirror())
