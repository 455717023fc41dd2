"""The overview: fresh or late, the last runs, what was told; and what it says where something is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from include.alerts.alert import Alert, Kind
from include.config.object_file import read_object_files
from include.lake.alert_log import claim, resolve
from include.lake.layout import LAYOUT_VERSION
from include.lake.run_log import record_run
from include.page.answers import LakeUnreachable
from include.page.freshness import freshness, longest_interval
from include.page.overview import MOST_RUNS, Overview
from include.quality.quarantine_table import open_quarantine
from tests.include.page.lakes import ENVIRONMENT, Links, catalog_in, new_cache, publish, versions_of

NOW = datetime(2026, 1, 6, 12, tzinfo=UTC)
FILES = list(read_object_files().values())


def card(catalog: SqlCatalog, noun: str = "user", **changed: Any) -> dict[str, Any]:
    cache = changed.pop("cache", None) or new_cache()
    made = Overview(
        catalog=catalog, environment=ENVIRONMENT, links=Links(), cache=cache, now=NOW,
        worded=lambda problem: LakeUnreachable(f"{type(problem).__name__}: {problem}", remedy="look"),
    )  # fmt: skip
    return next(one for one in made.objects(FILES) if one["noun"] == noun)


def run(catalog: SqlCatalog, run_id: str, *, hours_ago: float, **values: Any) -> None:
    at = NOW - timedelta(hours=hours_ago)
    row = {
        "run_id": run_id, "object": "User", "state": "success", "kind": "scheduled", "finished_at": at,
        "recorded_at": at, "window_end": at, "watermark": at, "versions_opened": 5, "versions_closed": 4,
        "versions_deleted": 1, "rows_quarantined": 2, "live_records": 90, "records": 100, "versions": 150,
        "quality_score": 99.5, "api_usage_percent": 1.5, **values,
    }  # fmt: skip
    record_run(catalog, "sf_ops", row)


def alert(kind: Kind, key: str, run_id: str) -> Alert:
    return Alert(
        kind=kind, key=key, environment="local", object="User", dag_id="sf_user_pipeline", run_id=run_id,
        headline=f"{kind} of {run_id}", remedy="look", links={}, at=NOW,
    )  # fmt: skip


def test_an_empty_lake_has_empty_cards(tmp_path: Path) -> None:
    found = card(catalog_in(tmp_path))
    assert found["freshness"] == {
        "state": "empty", "age_seconds": None, "allowed_seconds": 43_200.0, "late_by_seconds": None, "watermark": None,
    }  # fmt: skip
    assert (found["last_run"], found["runs"], found["versions"], found["problem"]) == (None, [], 0, None)
    assert found["expected"] == {"typical": 5000, "minimum": 4000, "maximum": 6000, "deviation_percent": 20}


def test_what_the_last_runs_did(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    run(catalog, "one", hours_ago=20)
    run(catalog, "two", hours_ago=8, anomalies="low_quality")
    run(catalog, "three", hours_ago=1, state="failed", error="extract: no", versions=None, live_records=None)
    found = card(catalog)
    assert found["freshness"]["state"] == "fresh"
    assert found["freshness"]["age_seconds"] == 8 * 3600
    assert found["freshness"]["watermark"] == "2026-01-06T04:00:00Z"
    assert found["last_run"] == {
        "run_id": "three", "state": "failed", "kind": "scheduled", "finished_at": "2026-01-06T11:00:00Z",
        "error": "extract: no", "url": "/dags/sf_user_pipeline/runs/three",
    }  # fmt: skip
    assert [one["run_id"] for one in found["runs"]] == ["one", "two", "three"]
    assert (found["current_records"], found["live_records"], found["deleted_records"], found["versions"]) == (
        100, 90, 10, 150,
    )  # fmt: skip
    assert found["runs"][1] == {
        "run_id": "two", "url": "/dags/sf_user_pipeline/runs/two", "state": "success",
        "recorded_at": "2026-01-06T04:00:00Z", "window_end": "2026-01-06T04:00:00Z", "opened": 5, "closed": 4,
        "deleted": 1, "quarantined": 2, "live_records": 90, "quality_score": 99.5, "anomalies": "low_quality",
    }  # fmt: skip
    assert card(catalog, "account")["runs"] == []


def test_a_chart_has_no_more_runs_than_it_can_show(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    run(catalog, "first", hours_ago=200)
    table = catalog.load_table("sf_ops.pipeline_runs")
    first = table.scan().to_arrow().to_pylist()[0]
    table.append(
        pa.Table.from_pylist(
            [{**first, "run_id": f"run {n}", "recorded_at": NOW - timedelta(minutes=n)} for n in range(MOST_RUNS + 5)],
            table.schema().as_arrow(),
        )
    )
    runs = card(catalog)["runs"]
    assert len(runs) == MOST_RUNS
    assert runs[-1]["run_id"] == "run 0"


def test_what_only_runs_before_those_of_the_chart_say_is_known(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    run(catalog, "good", hours_ago=5)
    table = catalog.load_table("sf_ops.pipeline_runs")
    (good,) = table.scan().to_arrow().to_pylist()
    nothing = dict.fromkeys(("watermark", "versions", "live_records", "records", "quality_score", "api_usage_percent"))
    failed = [
        {**good, **nothing, "run_id": f"run {n}", "state": "failed", "recorded_at": NOW - timedelta(minutes=n)}
        for n in range(MOST_RUNS)
    ]
    table.append(pa.Table.from_pylist(failed, table.schema().as_arrow()))
    found = card(catalog)
    assert {one["state"] for one in found["runs"]} == {"failed"}
    assert found["freshness"]["watermark"] == "2026-01-06T07:00:00Z"
    assert (found["quality_score"], found["api_usage_percent"], found["versions"]) == (99.5, 1.5, 150)


def test_late_is_more_than_two_intervals_of_the_schedule(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    run(catalog, "one", hours_ago=13)
    found = card(catalog)["freshness"]
    assert (found["state"], found["late_by_seconds"]) == ("late", 3600)
    exactly = freshness(watermark=NOW - timedelta(hours=12), cron="0 */6 * * *", now=NOW)
    assert exactly.state == "fresh"
    assert freshness(watermark=NOW + timedelta(hours=1), cron="0 */6 * * *", now=NOW).age == timedelta(0)


@pytest.mark.parametrize(
    ("cron", "hours"), [("0 */6 * * *", 6), ("0 * * * *", 1), ("0 0 * * 0", 168), ("0 9 * * 1-5", 72)]
)
def test_the_longest_interval_of_a_schedule_counts(cron: str, hours: int) -> None:
    assert longest_interval(cron, NOW) == timedelta(hours=hours)


def test_deadlines_that_were_missed_and_failures_that_are_open(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    for kind, key in (("sla_missed", "a"), ("run_failed", "b"), ("run_failed", "c"), ("anomaly", "d")):
        assert claim(catalog, "sf_ops", alert(kind, key, f"run {key}"), at=NOW)  # type: ignore[arg-type]
    resolve(catalog, "sf_ops", ["b"], at=NOW, by="run c")
    found = card(catalog)
    assert [one["run_id"] for one in found["deadlines_missed"]] == ["run a"]
    assert found["deadlines_missed"][0]["url"] == "/dags/sf_user_pipeline/runs/run a"
    assert [(one["run_id"], one["subject"]) for one in found["open_failures"]] == [
        ("run c", "[local] User: run_failed of run c")
    ]
    assert card(catalog, "account")["open_failures"] == []


def test_where_no_run_is_on_record_the_dimension_is_counted(tmp_path: Path) -> None:
    catalog, cache = catalog_in(tmp_path), new_cache()
    publish(catalog, versions_of(1, {}, {}), versions_of(2, {}, {"is_deleted": True}))
    for _ in range(2):
        found = card(catalog, cache=cache)
        assert (found["current_records"], found["live_records"], found["versions"]) == (2, 1, 4)


def test_the_quarantine_counts_each_record_once_and_none_that_was_replayed(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    table = open_quarantine(catalog, "sf_raw.sf_user_quarantine")
    schema = table.schema().as_arrow()
    rows = [
        {"id": "x", "record": "{}"},
        {"id": "x", "record": "{1}"},
        {"id": "y", "record": "{}", "_replayed_at": NOW},
        {"id": None, "record": "{2}"},
        {"id": None, "record": "{2}"},
    ]
    table.append(pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema))
    assert card(catalog)["quarantined"] == 2


def test_a_table_of_a_later_release_is_told_and_hides_no_other_object(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    table = open_quarantine(catalog, "sf_raw.sf_user_quarantine")
    with table.transaction() as change:
        change.set_properties({LAYOUT_VERSION: "99"})
    found = card(catalog)
    assert "has layout version 99" in found["problem"]["error"]
    assert found["problem"]["remedy"] == "look"
    assert card(catalog, "account")["problem"] is None


def test_files_that_are_lost_are_told_and_hide_no_other_object(tmp_path: Path) -> None:
    """The runs say how fresh the data is all the same."""
    catalog = catalog_in(tmp_path)
    run(catalog, "one", hours_ago=1, versions=None)
    publish(catalog, versions_of(1, {}))
    for task in catalog.load_table("sf_curated.dim_sf_user_scd").scan().plan_files():
        Path(task.file.file_path.removeprefix("file://")).unlink()
    found = card(catalog)
    assert found["problem"]["error"].startswith("FileNotFoundError")
    assert (found["freshness"]["state"], found["last_run"]["run_id"]) == ("fresh", "one")
    assert card(catalog, "account")["problem"] is None
