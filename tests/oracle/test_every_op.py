"""every_op.jsonl worked out by hand, and what it leaves when it is replayed again or in two parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.oracle.__main__ import table
from tests.oracle.org_model import full_id, read_scenario
from tests.oracle.replay import replay
from tests.oracle.shapes import ACCOUNT, USER, Shape

SCENARIO = Path(__file__).with_name("every_op.jsonl")
PROJECT = Path(__file__).resolve().parents[2]

#: User → (division, audit phase, deleted, update_date, effective_from), January 2026, by day and time.
BY_HAND = {
    # A→B→A; what happened at 01:00 was over before the first run looked.
    1: [
        "West Phase2 - 05 02:00:00 05 02:00:00",
        "North Phase2 - 05 07:12:00 05 07:12:00",
        "West Phase2 - 05 13:12:00 05 13:12:00",
    ],
    # Changed at 06:00:00, when the first window had just ended: only the second window sees it.
    2: ["East Phase3 - 05 06:00:00 05 06:00:00"],
    # Reactivated: no version.
    4: ["Central Phase2 - 05 01:00:04 05 01:00:04"],
    # Hidden before anybody looked, unhidden later, found by a refresh.
    5: ["North Phase3 - 05 01:00:05 05 01:00:05"],
    # Automation: LastModifiedDate stays.
    6: [
        "South Phase1 - 05 01:00:06 05 01:00:06",
        "East Phase1 - 05 01:00:06 05 08:10:00",
        "East Complete - 05 01:00:06 05 21:00:00",
    ],
    # Committed late, after its window was read and before the lookback: the refresh of the third interval finds it.
    7: [
        "East Phase2 - 05 01:00:07 05 01:00:07",
        "Central Phase2 - 05 08:20:00 05 08:20:00",
        "Central Complete - 06 03:00:00 06 03:00:00",
    ],
    # Hidden, missed by a refresh; unhidden, found by the next with its old dates.
    9: [
        "Central Phase1 - 05 01:00:09 05 01:00:09",
        "Central Phase1 deleted 05 18:00:00 05 18:00:00",
        "Central Phase1 - 05 01:00:09 06 06:00:00",
    ],
    # Purged, missed by a refresh, and made again.
    10: [
        "North Phase2 - 05 01:00:10 05 01:00:10",
        "North Phase2 deleted 05 18:00:00 05 18:00:00",
        "East None - 05 20:00:00 05 20:00:00",
    ],
    # Changed twice in one second.
    12: ["East Phase1 - 05 01:00:12 05 01:00:12", "West Complete - 05 14:10:00 05 14:10:00"],
    # Hidden and unhidden between two runs.
    13: ["West Phase2 - 05 01:00:13 05 01:00:13"],
}


def short(row: dict[str, str]) -> str:
    """A row as it is written above."""
    deleted = "deleted" if row["is_deleted"] == "true" else "-"
    dates = f"{row['update_date'][8:]} {row['effective_from'][8:]}"
    return f"{row['division'] or None} {row['audit_phase__c'] or None} {deleted} {dates}"


@pytest.mark.parametrize("number", BY_HAND)
def test_users_worked_out_by_hand(number: int) -> None:
    rows = table(replay(USER, read_scenario(SCENARIO.read_text(encoding="utf-8").splitlines())))
    assert [short(row) for row in rows if row["user_id"] == full_id(f"0055e{number:010d}")] == BY_HAND[number]


@pytest.mark.parametrize("shape", [USER, ACCOUNT], ids=lambda shape: shape.noun)
def test_the_same_again_and_in_two_parts(shape: Shape) -> None:
    events = read_scenario(SCENARIO.read_text(encoding="utf-8").splitlines())
    whole = replay(shape, events)
    once, logged = table(whole), len(whole.log)
    replay(shape, events, whole, before=events)
    assert (table(whole), len(whole.log)) == (once, logged)
    torn = [event for event in events if event.at.isoformat() < "2026-01-05T18:00"]
    rest = [event for event in events if event not in torn]
    assert table(replay(shape, rest, replay(shape, torn), before=torn)) == once


def test_the_command_prints_the_dimension() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracle", str(SCENARIO), "--object", "Account"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("account_key,account_id,name,owner_id,industry,rating,update_date,effective_from,")
    assert len(lines) == 1 + 3 + 3 + 2
