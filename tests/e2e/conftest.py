"""What the end-to-end tests share: a laptop of their own under a temporary folder, and questions to its lake."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kept_database import with_database

PROJECT = Path(__file__).resolve().parents[2]

Ask = Callable[[str], list[dict[str, str]]]


def ask_lake(root: Path, query: str) -> list[dict[str, str]]:
    """Rows of a query on the lake under `root`, through the command that people use."""
    done = subprocess.run(
        [sys.executable, "-m", "local.lake.shell", "--query", query, "--format", "csv"],
        env={**os.environ, "SF_HISTORY_LAKE": str(root / "lake"), "PYTHONPATH": str(PROJECT)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def run_replay(root: Path, *arguments: str, expect: int = 0) -> str:
    """`make run` over a folder of the test's own; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "local.replay", "--root", str(root), *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout[-6000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root folder of a laptop: lake, org and Airflow live in it."""
    return with_database(tmp_path_factory.mktemp("laptop"))
