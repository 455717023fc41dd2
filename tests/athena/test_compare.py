"""`make compare-engines` on a small scenario; and that it sees what differs."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local.cloud.aws import Aws
from local.cloud.trino import Trino
from tests.athena.endpoint import Athena
from tests.engines import compare

EVENTS: list[dict[str, Any]] = [
    {
        "at": "2026-01-05T01:00:00Z",
        "op": "insert",
        "Id": "005Sim000000001IAA",
        "fields": {"Name": "Ann", "Division": "North"},
    },
    {
        "at": "2026-01-05T02:00:00Z",
        "op": "insert",
        "Id": "005Sim000000002IAA",
        "fields": {"Name": "Bob 東", "Division": ""},
    },
    {"at": "2026-01-05T07:00:00Z", "op": "update", "Id": "005Sim000000001IAA", "fields": {"Division": "South"}},
    {"at": "2026-01-05T08:00:00Z", "op": "purge", "Id": "005Sim000000002IAA"},
    {"at": "2026-01-05T09:00:00Z", "op": "refresh"},
]


@pytest.fixture
def running(aws: Aws, trino_server: Trino, athena: Athena, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command uses what runs already."""
    monkeypatch.setattr(compare, "start_aws", lambda: nullcontext(aws))
    monkeypatch.setattr(compare, "start_trino", lambda _: nullcontext(trino_server))
    monkeypatch.setattr(compare, "start_athena", lambda *_: nullcontext(athena))


@pytest.mark.athena
@pytest.mark.usefixtures("running")
def test_the_dimension_is_the_same_on_every_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenario = tmp_path / "scenario.jsonl"
    scenario.write_text("".join(json.dumps({"object": "User", **event}) + "\n" for event in EVENTS), encoding="utf-8")
    assert compare.main(["--scenario", str(scenario)]) == 0
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines() if line.startswith("│")]
    assert [(line[1], line[3], line[5]) for line in lines] == [
        ("duckdb", "4", "0"),
        ("trino", "4", "0"),
        ("athena", "4", "0"),
    ]
    assert len({line[7] for line in lines}) == 1
    assert "athena: 2026-01-05 06:00 → 12:00" in shown


def test_a_row_that_differs_is_shown() -> None:
    console = Console(record=True, width=200)
    row = {"user_key": 1, "user_id": "a", "division": None}
    assert compare.compare({"one": [row], "other": [dict(row)]}, console)
    assert not compare.compare({"one": [row], "other": [{**row, "user_key": 2}], "none": []}, console)
    shown = console.export_text()
    assert "other against one: missing: division=None user_id=a user_key=1" in shown
    assert "other against one: too many: division=None user_id=a user_key=2" in shown
    assert "none against one: missing: division=None user_id=a user_key=1" in shown
    assert not compare.compare({"one": [row], "twice": [row, dict(row)]}, console)
