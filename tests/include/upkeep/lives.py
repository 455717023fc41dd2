"""Work for processes that are killed: the upkeep of one table."""

from __future__ import annotations

import os
import signal
from datetime import datetime
from pathlib import Path

from include.config.environment import current_environment
from include.config.object_file import read_object_files
from include.upkeep.tables import object_tables
from include.upkeep.upkeep import keep_up
from local.faults.killing import AtCommit, Tell, changes_told
from tests.include.lake.conftest import Lake


def live_upkeep(tell: Tell, folder: Path, place: str, now: datetime, dies: AtCommit | str | None) -> None:
    """Look after one table.

    :param tell: told of each step and each change of the catalog.
    :param folder: of the lake.
    :param place: which table.
    :param now: the time.
    :param dies: a commit or a step that is the last moment.
    """
    object_file = read_object_files()["user"]
    lake = Lake(folder, object_file)
    environment = current_environment({"SF_HISTORY_LAKE": str(folder)})
    kept = next(one for one in object_tables(object_file, environment) if one.place == place)

    def step(reached: str) -> None:
        tell(reached)
        if reached == dies:
            os.kill(os.getpid(), signal.SIGKILL)

    with changes_told(tell, dies if isinstance(dies, AtCommit) else None):
        keep_up(lake.catalog, kept, environment, now=now, on_step=step)
    tell("end")
