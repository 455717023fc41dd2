"""`sf_ops.alerts`: one of many wins a key, what became of an alert is kept, and files stay few."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog

from include.alerts.alert import Alert
from include.lake import alert_log
from include.lake.layout import LAYOUT_VERSION, LayoutTooNew
from local.lake.catalog import lake_folder

PROJECT = Path(__file__).resolve().parents[3]
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return lake_folder(tmp_path / "lake").open_catalog()


def alert(key: str, **words: Any) -> Alert:
    told = {"headline": "extract failed", "remedy": "Do this.", "links": {}, "environment": "local"}
    common = {"kind": "run_failed", "object": "User", "dag_id": "sf_user_pipeline", "run_id": "r1", "at": NOW}
    return Alert.model_validate({"key": key, **told, **common, **words})


def claim(catalog: Catalog, key: str, at: datetime = NOW, **words: Any) -> bool:
    return alert_log.claim(catalog, "sf_ops", alert(key, **words), at=at)


_CLAIMS = """
import sys
from datetime import UTC, datetime
from include.alerts.alert import Alert
from include.lake.alert_log import claim
from local.lake.catalog import lake_folder

catalog = lake_folder(sys.argv[1]).open_catalog()
told = dict(kind="anomaly", environment="local", dag_id="d", headline="h", remedy="r", links={}, at=datetime.now(UTC))
sys.stdin.readline()
print(sum(claim(catalog, "sf_ops", Alert(key=f"k{n}", **told), at=datetime.now(UTC)) for n in range(5)))
"""


def test_of_two_processes_one_wins_each_key(catalog: Catalog, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CLAIMS, str(tmp_path / "lake")]
    racers = [
        subprocess.Popen(
            command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    outcomes = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], outcomes
    assert sum(int(out) for out, _ in outcomes) == 5
    assert sorted(record.key for record in alert_log.read_alerts(catalog, "sf_ops")) == [f"k{n}" for n in range(5)]


def test_a_key_is_claimed_once_however_long_it_is(catalog: Catalog) -> None:
    long = "sf_user_pipeline/scheduled__2026-01-05T06:00:00+00:00/failed/"
    assert [claim(catalog, long + "a"), claim(catalog, long + "b"), claim(catalog, long + "a")] == [True, True, False]


def test_what_became_of_an_alert(catalog: Catalog) -> None:
    claim(catalog, "a", at=NOW)
    claim(catalog, "b", at=NOW + timedelta(minutes=1), kind="data_warning")
    record = {"delivered": ["sns"], "failed": {"slack": "refused", "email": "no"}}
    alert_log.record_attempt(catalog, "sf_ops", "a", at=NOW, **record)  # type: ignore[arg-type]
    (open_one,) = alert_log.open_failures(catalog, "sf_ops")
    assert (open_one.key, open_one.told_at, open_one.attempts, open_one.channels) == ("a", NOW, 1, "sns")
    assert open_one.failed_channels == "slack: refused; email: no"
    assert open_one.restored() == alert("a")
    assert [one.key for one in alert_log.never_told(catalog, "sf_ops", before=NOW + timedelta(hours=1))] == ["b"]
    assert alert_log.never_told(catalog, "sf_ops", before=NOW) == []
    assert [alert_log.mark_escalated(catalog, "sf_ops", "a", at=NOW) for _ in range(2)] == [True, False]
    assert alert_log.resolve(catalog, "sf_ops", ["a", "gone"], at=NOW, by="r2") == ["a"]
    assert alert_log.resolve(catalog, "sf_ops", ["a"], at=NOW, by="r3") == []
    assert alert_log.open_failures(catalog, "sf_ops") == []
    assert alert_log.read_alerts(catalog, "sf_ops")[0].resolved_by == "r2"


def test_open_failures_are_of_one_dag_if_it_is_named(catalog: Catalog) -> None:
    assert alert_log.open_failures(catalog, "sf_ops") == []
    claim(catalog, "a")
    claim(catalog, "b", dag_id="sf_account_pipeline")
    assert [one.key for one in alert_log.open_failures(catalog, "sf_ops", dag_id="sf_account_pipeline")] == ["b"]
    assert len(alert_log.open_failures(catalog, "sf_ops")) == 2


def test_it_is_not_sent_again_for_ever(catalog: Catalog) -> None:
    claim(catalog, "a")
    later = NOW + timedelta(hours=1)
    for _ in range(alert_log.MOST_ATTEMPTS):
        assert len(alert_log.never_told(catalog, "sf_ops", before=later)) == 1
        alert_log.record_attempt(catalog, "sf_ops", "a", at=NOW, delivered=[], failed={"sns": "no"})
    assert alert_log.never_told(catalog, "sf_ops", before=later) == []


def test_rows_gather_in_few_files_and_ids_stay_out(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_log, "FILE_ROWS", 4)
    for number in range(9):
        claim(
            catalog,
            f"k{number}",
            at=NOW + timedelta(minutes=number),
            error="For example 005000000000003AAA, 00500000000000B.",
        )
    table = catalog.load_table("sf_ops.alerts")
    assert sorted(task.file.record_count for task in table.scan().plan_files()) == [1, 4, 4]
    alert_log.resolve(catalog, "sf_ops", ["k0", "k8"], at=NOW, by="r")
    records = alert_log.read_alerts(catalog, "sf_ops")
    assert [record.key for record in records] == [f"k{number}" for number in range(9)]
    assert [record.key for record in records if record.resolved_at] == ["k0", "k8"]
    for record in records:
        assert "What: For example (Id left out), (Id left out)." in record.text
        assert "005" not in record.alert


def test_a_later_layout_is_refused(catalog: Catalog) -> None:
    claim(catalog, "a")
    with catalog.load_table("sf_ops.alerts").transaction() as change:
        change.set_properties({LAYOUT_VERSION: "99"})
    with pytest.raises(LayoutTooNew, match=r"sf_ops\.alerts has layout version 99"):
        claim(catalog, "b")
