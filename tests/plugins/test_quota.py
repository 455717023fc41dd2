"""A run that finds too many API requests in use defers itself, asks little meanwhile, and goes on by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from include.config.object_file import read_object_files
from include.staging.manifest import ExtractionManifest, ReadPlan
from local.org import faults
from local.org.faults import Answer, Fault, SetUsage
from local.org.handle import OrgHandle, start_org
from salesforce_history.noting import PROBLEM
from salesforce_history.operators import WAITS_SINCE, CheckSourceOperator, ExtractOperator

USER = read_object_files()["user"].model_copy(update={"batch_size": 200})
SIX = datetime(2026, 1, 5, 6, tzinfo=UTC)


@pytest.fixture
def org(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OrgHandle]:
    """An org with 450 users behind the Airflow connection, and a lake."""
    lines = [
        {"at": "2026-01-05T01:00:00Z", "op": "insert", "object": "User", "Id": f"005{number:012d}AAA"}
        | {"fields": {"Name": f"User {number}"}}
        for number in range(450)
    ]
    scenario = tmp_path / "users.jsonl"
    scenario.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with start_org(tmp_path / "org") as started:
        started.load_events(scenario)
        started.set_clock(SIX)
        lake = tmp_path / "lake"
        lake.mkdir()
        iceberg = {"type": "sql", "uri": f"sqlite:///{lake}/catalog.db", "warehouse": f"file://{lake}/warehouse"}
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(started.ca_bundle))
        monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", json.dumps(started.connection()))
        monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": iceberg}))
        monkeypatch.setenv("SF_HISTORY_LAKE", str(lake))
        yield started


class Instance:
    """What a task instance keeps across a deferral: its XComs."""

    dag_id, task_id, run_id = "sf_user_pipeline", "check_source", "scheduled__1"

    def __init__(self, **kept: Any) -> None:
        self.kept = kept

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.kept[key] = value

    def xcom_pull(self, *, task_ids: str, key: str) -> Any:
        assert task_ids in {"check_source", "extract"}
        return self.kept.get(key)


def context(**kept: str) -> Any:
    run = {"run_type": "scheduled", "run_after": SIX, "logical_date": SIX, "data_interval_end": SIX}
    run |= {"data_interval_start": SIX - timedelta(hours=6)}
    return {"dag_run": SimpleNamespace(**run, conf={}), "ti": Instance(**kept), "run_id": "scheduled__1", "params": {}}


def deferral(work: Any, *arguments: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as deferred:
        work(*arguments)
    assert isinstance(deferred.value.trigger, DateTimeTrigger)
    assert deferred.value.method_name == "resume"
    return deferred.value


def test_check_source_waits_and_goes_on(org: OrgHandle, capsys: pytest.CaptureFixture[str]) -> None:
    org.set_limits(used=85_000, maximum=100_000)
    task = CheckSourceOperator(task_id="check_source", object_file=USER)
    deferral(task._guarded, waits := context())
    assert set(waits["ti"].kept) == {WAITS_SINCE}, "what ends in a deferral is no problem"
    assert "85 % of the org's daily API requests are in use, over the 80 % allowed" in capsys.readouterr().out
    deferral(task.resume, context(), None)
    assert org.stats()["api"]["used"] == 85_002, "one request each time it looks"
    org.set_limits(used=80_000 - 1)
    assert ReadPlan.model_validate(task.resume(context())).estimated_rows == 450


def test_extract_waits_between_two_pages(org: OrgHandle) -> None:
    plan = CheckSourceOperator(task_id="check_source", object_file=USER)._guarded(context())
    task = ExtractOperator(task_id="extract", object_file=USER, plan=plan)
    org.set_faults([Fault(do=SetUsage(used=90_000), path=faults.QUERY, lacks="COUNT()")])
    deferral(task._guarded, context())
    assert org.stats()["api"]["used"] == 90_001, "no page is asked for after the one that told"
    org.set_limits(used=0)
    assert ExtractionManifest.model_validate(task.resume(context())).stats.distinct_ids == 450


def test_a_used_up_limit_defers_too_and_patience_ends(org: OrgHandle) -> None:
    used_up = Answer(status=403, code="REQUEST_LIMIT_EXCEEDED", message="TotalRequests Limit exceeded.")
    org.set_faults([Fault(do=used_up, times=None, path="/services/data/*")])
    task = CheckSourceOperator(task_id="check_source", object_file=USER)
    deferral(task._guarded, context())
    assert org.faults_struck() == [1], "it does not hammer"
    patient = context(waits_for_quota_since="2026-01-01T00:00:00+00:00")
    with pytest.raises(AirflowFailException, match=r"REQUEST_LIMIT_EXCEEDED.*it gives up"):
        task.resume(patient)
    assert patient["ti"].kept[PROBLEM]["error"] == "ApiLimitReached"
