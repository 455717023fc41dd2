"""An upkeep that is killed between any two of its steps is made good by the next one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.config.object_file import ObjectFile
from include.upkeep.measure import measure
from local.faults.killing import AtCommit, strike
from tests.include.lake.conftest import Lake
from tests.include.upkeep.conftest import rows_of
from tests.include.upkeep.lives import live_upkeep

MOMENTS = [
    AtCommit(nth=1, side="before"),
    AtCommit(nth=1, side="after"),
    "compacted",
    AtCommit(nth=2, side="before"),
    AtCommit(nth=2, side="after"),
    "expired",
    "deleted",
    "orphans",
]


def grown(folder: Path, object_file: ObjectFile) -> Lake:
    lake = Lake(folder, object_file)
    for number in range(14):
        records = [lake.record(f"{key:018d}", number + 1, name=f"at {number}") for key in range(number, number + 3)]
        lake.run(records, start=number if number else None, end=number + 2)
    return lake


def end_state(lake: Lake) -> Any:
    size = measure(lake.table("changes")).numbers()
    # Names have random parts, and metadata holds the time.
    del size["bytes"], size["stored_bytes"]
    return size, rows_of(lake.table("changes"))


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """How it ends when nobody is killed."""
    from include.config.object_file import read_object_files

    lake = grown(tmp_path_factory.mktemp("calm") / "lake", read_object_files()["user"])
    before = rows_of(lake.table("changes"))
    now = datetime.now(UTC) + timedelta(days=30)
    for _ in range(2):
        live_upkeep(lambda _: None, lake.folder, "changes", now, None)
    assert rows_of(lake.table("changes")) == before
    return end_state(lake)


@pytest.mark.parametrize("dies", MOMENTS, ids=str)
def test_the_next_upkeep_makes_it_good(
    tmp_path: Path, user_object: ObjectFile, calm: Any, dies: AtCommit | str
) -> None:
    lake = grown(tmp_path / "lake", user_object)
    now = datetime.now(UTC) + timedelta(days=30)
    fate = strike(live_upkeep, lake.folder, "changes", now, dies, log=tmp_path / "log")
    assert fate.killed, fate.error
    # A reader in between finds what there was.
    assert rows_of(lake.table("changes")) == calm[1]
    for _ in range(2):
        live_upkeep(lambda _: None, lake.folder, "changes", now, None)
    assert end_state(lake) == calm
