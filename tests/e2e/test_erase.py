"""`make erase`: one command, and a person is nowhere on the laptop's lake; the runs after it do not bring her back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local.exclusive import only_one
from local.org.ids import to_18
from tests.e2e.conftest import PROJECT, ask_lake, run_replay
from tests.include.lake.remains import remains

HER, BOB = to_18("0055e0000000001"), to_18("0055e0000000002")
MARK = "Zzyzx Marker"


def scenario(path: Path, *events: dict[str, Any]) -> str:
    path.write_text("\n".join(json.dumps({"object": "User", **event}) for event in events) + "\n")
    return str(path)


def erase(root: Path, *arguments: str, ids: str = HER) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.erase", "user", "--root", str(root), "--ids", ids, *arguments],
        env={name: value for name, value in os.environ.items() if not name.startswith(("SF_HISTORY_", "AIRFLOW"))},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def lived(laptop: Path) -> Path:
    """A laptop with two people."""
    first = scenario(
        laptop / "first.jsonl",
        {"at": "2026-01-05T01:00:00Z", "op": "insert", "Id": HER, "fields": {"Name": MARK, "Division": "North"}},
        {"at": "2026-01-05T02:00:00Z", "op": "insert", "Id": BOB, "fields": {"Name": "Bob", "Division": "North"}},
    )
    run_replay(laptop, "--scenario", first)
    return laptop


def test_nothing_happens_unless_somebody_confirms(lived: Path) -> None:
    done = erase(lived)
    assert done.returncode == 1
    assert "Erase 1 User record with all history, for good?" in done.stdout
    assert "give --yes (make: YES=1)" in done.stderr
    assert remains(lived / "lake" / "warehouse", HER)


def test_a_mistyped_id_is_refused(lived: Path) -> None:
    done = erase(lived, "--yes", ids=f"{HER} 0055e0000000002AAB")
    assert (done.returncode, HER in done.stderr) == (2, False)
    assert "Id number 2 is mistyped" in done.stderr


def test_it_waits_for_nobody_who_owns_the_lake(lived: Path) -> None:
    with only_one(lived, purpose="make up"):
        done = erase(lived, "--yes")
    assert done.returncode == 2
    assert "make down" in done.stderr


def test_she_is_gone_and_stays_gone(lived: Path) -> None:
    done = erase(lived, "--yes", ids=HER[:15])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sf_raw.sf_user_changes" in done.stdout
    assert "views.duckdb: intermediate tables dropped" in done.stdout
    assert HER[:15] not in done.stdout
    assert remains(lived / "lake", HER[:15], MARK) == []
    assert ask_lake(lived, "select division from sf_curated.dim_sf_user_current") == [{"division": "North"}]

    second = scenario(
        lived / "second.jsonl",
        {"at": "2026-01-05T07:00:00Z", "op": "update", "Id": HER, "fields": {"Division": "East"}},
        {"at": "2026-01-05T08:00:00Z", "op": "update", "Id": BOB, "fields": {"Division": "South"}},
        {"at": "2026-01-05T09:00:00Z", "op": "refresh"},
    )
    run_replay(lived, "--keep", "--scenario", second)
    assert remains(lived / "lake", HER[:15], MARK) == []
    assert ask_lake(lived, "select division, is_deleted from sf_curated.dim_sf_user_scd order by effective_from") == [
        {"division": division, "is_deleted": "false"} for division in ("North", "South")
    ]
    (row,) = ask_lake(lived, "select * from sf_ops.erasures")
    assert (row["object"], row["changes_rows"], row["dimension_rows"]) == ("user", "1", "1")
