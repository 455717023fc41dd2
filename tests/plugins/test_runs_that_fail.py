"""A real run that fails, one after it that succeeds, the DAG processor that calls back: what the channels got."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.lake.alert_log import AlertRecord, open_failures, read_alerts
from local.lake.catalog import lake_folder
from tests.kept_database import with_database
from tests.receivers import Received, running_receivers

PROJECT = Path(__file__).resolve().parents[2]


class Outcome:
    """How the runs ended, what was received, and what the lake remembers."""

    def __init__(self, root: Path, ended: dict[str, str], got: dict[str, list[Received]]) -> None:
        self.root, self.ended, self.got = root, ended, got
        self.catalog = lake_folder(root / "lake").open_catalog()

    @property
    def alerts(self) -> list[AlertRecord]:
        return read_alerts(self.catalog, "sf_ops")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    root = with_database(tmp_path_factory.mktemp("runs") / "home")
    report = root.parent / "report.json"
    with running_receivers() as receivers:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AIRFLOW"))}
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("runs_that_fail.py")), str(root), str(report)],
            env={**clean, **receivers.variables, "PYTHONPATH": str(PROJECT)},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return Outcome(root, json.loads(report.read_text()), receivers.all())


def test_the_runs_ended_as_they_should(outcome: Outcome) -> None:
    assert outcome.ended == {"refused": "failed", "calm": "success", "processed": "called"}


def test_each_run_is_told_once_by_each_channel(outcome: Outcome) -> None:
    kinds = ["run_failed", "run_recovered", "run_failed"]
    assert [record.kind for record in outcome.alerts] == kinds
    assert [record.channels for record in outcome.alerts] == ["sns, slack, email"] * 3
    assert {channel: len(found) for channel, found in outcome.got.items()} == {"sns": 3, "slack": 3, "email": 3}


def test_the_failure_names_task_error_and_remedy(outcome: Outcome) -> None:
    subjects = [one.subject for one in outcome.got["slack"]]
    failed = "[local] User: check_source failed: CredentialsRefused"
    assert subjects == [failed, "[local] User: recovered: the next run has succeeded", failed]
    for text in (outcome.got["slack"][0].text, outcome.got["slack"][2].text):
        for part in (
            "What: CredentialsRefused: logging in: Salesforce answered",
            "Tasks: check_source",
            "Not published: readers of dim_sf_user_scd see what was published before.",
            "Do: Check the Airflow connection: consumer key and secret",
            "/runs/manual__2026-01-05T06:00:00",
            "docs/runbook.md#credentialsrefused",
        ):
            assert part.replace(":00:00", "%3A00%3A00") in text or part in text, text
        assert "HistoryNotPublished" not in text


def test_the_processor_says_as_much_as_the_run_itself(outcome: Outcome) -> None:
    first, _, processed = (one.text.splitlines() for one in outcome.got["slack"])
    differing = [(a, b) for a, b in zip(first, processed, strict=True) if a != b]
    assert differing == []


def test_the_recovery_resolved_the_failure(outcome: Outcome) -> None:
    first, recovered, again = outcome.alerts
    assert first.resolved_by == recovered.run_id
    assert [record.key for record in open_failures(outcome.catalog, "sf_ops")] == [again.key]
