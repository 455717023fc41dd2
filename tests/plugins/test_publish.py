"""The end of a run: its row, its tables' sizes, metrics and anomalies; and that none of the latter can fail it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from include.alerts.alert import Alert
from include.config.environment import current_environment
from include.config.object_file import ExpectedRows, read_object_files
from include.flow import Flow
from include.lake.run_log import read_runs
from include.lake.table_sizes import read_sizes
from include.lake.turn import take_turn
from include.staging.manifest import (
    ExtractionManifest,
    ExtractionStats,
    ReadPlan,
    UpsertManifest,
    ValidationManifest,
    Window,
)
from salesforce_history.alerts import anomalies
from salesforce_history.publish import HistoryNotPublished, PublishMetricsOperator
from tests.plugins.asset_events import Events

USER = read_object_files()["user"].model_copy(
    update={"expected_rows": ExpectedRows(typical=3, minimum=2, maximum=5), "table": "sf_user"}
)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DBT = "dbt_scd2.int_sf_user_versions.test"
CRITICAL = "test.sf_history.scd_integrity.0123456789"
TASKS = ("check_source", "extract", "validate", "upsert_raw", "take_turn", DBT)


class Run:
    """A run as its last task finds it: what the tasks before it left in XCom, and their states."""

    def __init__(self, run_id: str, *, end: datetime = NOON) -> None:
        self.run_id = run_id
        self.states = dict.fromkeys(TASKS, "success")
        self.began = datetime.now(UTC) - timedelta(seconds=100)
        window = Window(start=end - timedelta(hours=7), end=end, kind="scheduled", full_refresh=False, reason="test")
        plan = ReadPlan(
            noun="user", object="User", org_id="00D", run_id=run_id, window=window, fields=(), has_is_deleted=False,
            cursor="SystemModstamp", api="rest", estimated_rows=4, planned_at=end + timedelta(seconds=30),
        )  # fmt: skip
        stats = ExtractionStats.of_staged(4).model_copy(update={"api_usage_percent": 12.5})
        extraction = ExtractionManifest(plan=plan, extracted_at=end, files=(), stats=stats)
        self.validation = ValidationManifest(
            extraction=extraction, files=(), present_files=(), accepted=4, rejected=0, superseded=0, reasons={},
            warnings=(),
        )  # fmt: skip
        upsert = UpsertManifest(
            table="sf_raw.sf_user", logged=4, deleted=0, inserted=4, updated=0, unchanged=0, recovered=0, mirror_rows=4,
            watermark=end, last_full_refresh=None, attempts=1,
        )  # fmt: skip
        manifests = {"check_source": plan, "extract": extraction, "validate": self.validation, "upsert_raw": upsert}
        self.told: dict[tuple[str, str], Any] = {
            (task, "return_value"): manifest.model_dump(mode="json") for task, manifest in manifests.items()
        }
        self.told["check_source", "worked"] = self._span(0, 10)
        self.told["upsert_raw", "worked"] = self._span(50, 70)
        self.dbt(passed=22)
        self.start_date: datetime | None = self.began - timedelta(seconds=5)

    def _span(self, *seconds: float) -> list[str]:
        return [(self.began + timedelta(seconds=second)).isoformat() for second in seconds]

    def dbt(self, *, passed: int = 0, **others: str) -> None:
        tests = {f"test.sf_history.fine_{number}.ab": "passed" for number in range(passed)}
        tests |= {f"test.sf_history.{name}.cd": verdict for name, verdict in others.items()}
        said = {"at": "2026-01-05T12:00:00Z", "tests": tests, "seconds": {"dim_sf_user_scd": 2.5, "stg": 0.5}}
        said["error"] = "scd_integrity: Got 2 results" if "failed" in others.values() else None
        self.told[DBT, "dbt_results"] = said

    def fails(self, task: str, problem: dict[str, str] | None = None) -> None:
        """The run ends at a task."""
        place = TASKS.index(task)
        for later in TASKS[place + 1 :]:
            self.states[later] = "upstream_failed"
        self.states[task] = "failed"
        gone = {*TASKS[place:]} - {task if task == DBT else ""}
        self.told = {
            (of, key): value
            for (of, key), value in self.told.items()
            if of not in gone or (of == task and key == "worked")
        }
        if problem:
            self.told[task, "problem"] = problem

    # What Airflow's task instance offers.

    def xcom_pull(self, *, task_ids: str, key: str = "return_value") -> Any:
        return self.told.get((task_ids, key))

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.told["publish_metrics", key] = value

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        return {self.run_id: self.states}

    def context(self) -> Any:
        dag_run = SimpleNamespace(start_date=self.start_date, run_after=NOON, logical_date=NOON)
        return Events().context(ti=self, run_id=self.run_id, dag_run=dag_run)


class Lake:
    """A lake with a dimension, and runs that end in it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.environment = current_environment({"SF_HISTORY_LAKE": str(folder)})
        self.catalog = SqlCatalog("lake", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
        self.flow = Flow(object_file=USER, environment=self.environment, catalog=self.catalog)
        self.operator = PublishMetricsOperator(
            task_id="publish_metrics",
            object_file=USER,
            dbt_group="dbt_scd2",
            check_task="check_source",
            extract_task="extract",
            validate_task="validate",
            upsert_task="upsert_raw",
            turn_task="take_turn",
            rebuild_task="rebuild_history",
        )
        self.operator.flow = lambda: self.flow  # type: ignore[method-assign]
        self.catalog.create_namespace("sf_raw")
        self.catalog.create_namespace("sf_curated")
        self.catalog.create_table("sf_raw.sf_user", pa.schema([("id", pa.string())]))
        self.catalog.create_table(self.flow.tables.ledger, pa.schema([("_extraction_run_id", pa.string())]))
        schema = pa.schema([("_scd_id", pa.string()), ("is_current", pa.bool_()), ("is_deleted", pa.bool_())])
        self.dimension = self.catalog.create_table(self.flow.tables.dimension, schema)

    def people(self, live: int, *, deleted: int = 0) -> None:
        rows = [{"_scd_id": f"{n}", "is_current": True, "is_deleted": n >= live} for n in range(live + deleted)]
        self.dimension.overwrite(pa.Table.from_pylist(rows, schema=self.dimension.schema().as_arrow()))

    def end(self, run: Run) -> dict[str, Any]:
        """The run's last task; its row."""
        take_turn(self.catalog, self.flow.tables, run_id=run.run_id, goes_on=lambda _: False)
        try:
            self.operator.work(run.context())
        finally:
            self.rows = read_runs(self.catalog, "sf_ops").to_pylist()
        return next(row for row in self.rows if row["run_id"] == run.run_id)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[Alert]:
    """The alerts that went out."""
    alerts: list[Alert] = []
    monkeypatch.setattr(anomalies, "tell", lambda alert, **_: alerts.append(alert))
    return alerts


def test_a_run_that_published(lake: Lake, told: list[Alert]) -> None:
    lake.people(3, deleted=2)
    row = lake.end(Run("one"))
    assert {name: row[name] for name in ("state", "live_records", "records", "dbt_tests", "failed_tests", "error")} == {
        "state": "success",
        "live_records": 3,
        "records": 5,
        "dbt_tests": 22,
        "failed_tests": None,
        "error": None,
    }
    assert (row["quality_score"], row["scd_success_rate"], row["api_usage_percent"]) == (100.0, 100.0, 12.5)
    assert (row["ingestion_seconds"], row["dbt_seconds"]) == (70.0, 3.0)
    assert row["run_seconds"] == pytest.approx(105, abs=30)
    # The org's clock was 30 seconds past the watermark when it was asked, and check_source ended 90 seconds ago.
    assert row["freshness_seconds"] == pytest.approx(120, abs=30)
    assert (row["anomalies"], told) == (None, [])
    sizes = read_sizes(lake.catalog, "sf_ops", run_id="one", object_name="User")
    assert {size.table_name: size.records for size in sizes} == {
        "sf_raw.sf_user": 0,
        "sf_curated.sf_user_consumed": 0,
        "sf_curated.dim_sf_user_scd": 5,
        "sf_ops.pipeline_runs": 1,
    }


def test_a_run_that_failed_is_measured_too(lake: Lake) -> None:
    lake.people(3)
    lake.end(Run("good", end=NOON - timedelta(hours=6)))
    run = Run("bad")
    run.dbt(passed=19, scd_integrity="failed", accepted_values_a="warned", accepted_values_b="warned")
    run.fails(DBT)
    with pytest.raises(HistoryNotPublished):
        lake.end(run)
    row = lake.rows[-1]
    assert (row["run_id"], row["state"], row["failed_tasks"]) == ("bad", "failed", DBT)
    assert (row["failed_tests"], row["warned_tests"]) == ("scd_integrity", "accepted_values_a, accepted_values_b")
    assert (row["dbt_tests_failed"], row["dbt_tests_warned"], row["quality_score"]) == (1, 2, 90.91)
    assert row["scd_success_rate"] == 50.0
    assert row["error"] == f"{DBT}: scd_integrity: Got 2 results"
    assert (row["ingestion_seconds"], row["live_records"], row["anomalies"]) == (70.0, None, None)
    # Readers see what the run before published, though the mirror's watermark has gone on.
    assert row["watermark"] == NOON
    assert row["freshness_seconds"] == pytest.approx(6 * 3600 + 120, abs=30)


def test_a_run_that_failed_early_tells_what_it_knows(lake: Lake) -> None:
    run = Run("early")
    run.fails("extract", {"error": "SourceUnavailable", "line": "reading User:\nno answer"})
    with pytest.raises(HistoryNotPublished):
        lake.end(run)
    (row,) = lake.rows
    assert row["error"] == "extract: reading User: no answer"
    assert row["window_end"] == NOON
    assert row["run_seconds"] == pytest.approx(105, abs=30)
    for unknown in (
        "ingestion_seconds",
        "quality_score",
        "scd_success_rate",
        "freshness_seconds",
        "dbt_tests",
        "watermark",
    ):
        assert row[unknown] is None, unknown


def test_too_many_rejects_are_in_the_score(lake: Lake) -> None:
    run = Run("rejected")
    judged = run.validation.model_copy(update={"accepted": 3, "rejected": 1})
    run.fails("validate")
    run.told["validate", "judged"] = judged.model_dump(mode="json")
    with pytest.raises(HistoryNotPublished):
        lake.end(run)
    assert (lake.rows[0]["rows_quarantined"], lake.rows[0]["quality_score"]) == (1, 75.0)


def test_a_backfill_is_as_fresh_as_the_mirror(lake: Lake) -> None:
    run = Run("backfill", end=NOON - timedelta(days=300))
    run.told["upsert_raw", "return_value"]["watermark"] = NOON.isoformat()
    run.told["check_source", "return_value"]["planned_at"] = NOON.isoformat()
    assert lake.end(run)["freshness_seconds"] == pytest.approx(90, abs=30)


def test_times_of_a_run_that_was_cleared_or_tested(lake: Lake) -> None:
    cleared = Run("cleared")
    cleared.start_date = cleared.began + timedelta(seconds=40)  # from upsert_raw on
    assert lake.end(cleared)["ingestion_seconds"] == 30.0
    dbt_only = Run("dbt only")
    dbt_only.start_date = dbt_only.began + timedelta(seconds=80)
    assert lake.end(dbt_only)["ingestion_seconds"] == 70.0
    waited = Run("waited")
    waited.told["check_source", "waits_for_quota_since"] = (waited.began - timedelta(seconds=900)).isoformat()
    waited.start_date = waited.began - timedelta(seconds=901)
    assert lake.end(waited)["ingestion_seconds"] == 970.0
    tested = Run("dag.test")
    tested.start_date = NOON
    row = lake.end(tested)
    assert row["started_at"] == tested.began
    assert row["run_seconds"] == pytest.approx(100, abs=30)


def test_an_anomaly_is_told_once_and_recorded_each_time(lake: Lake, told: list[Alert]) -> None:
    for number, live in enumerate([3, 3, 3, 9, 9, 3, 9]):
        lake.people(live)
        lake.end(Run(f"run {number}"))
    kinds = "too_many_records, more_records_than_usual"
    assert [row["anomalies"] for row in lake.rows] == [None, None, None, kinds, kinds, None, kinds]
    assert [alert.run_id for alert in told] == ["run 3", "run 6"]
    assert len({alert.key for alert in told}) == 2
    first = told[0]
    assert first.subject == "[local] User: 9 records: out of range"
    for part in (
        "9 records, expected 2 to 5, since this run",
        "within 20 % of 3, the median of the last 3 runs",
        "the run was published",
        "expected_rows",
        "runbook.md#alert-anomaly",
        f"{first.dag_id}/runs/run%203",
    ):
        assert part in first.text


def test_a_run_that_is_cleared_is_neither_counted_nor_told_again(lake: Lake, told: list[Alert]) -> None:
    lake.people(9)
    run = Run("one")
    before = lake.end(run)
    lake.people(3)
    lake.operator.work(run.context())
    assert read_runs(lake.catalog, "sf_ops").to_pylist() == [before]
    assert len(told) == 1


def test_a_task_that_died_before_it_told_tells(lake: Lake, told: list[Alert], monkeypatch: pytest.MonkeyPatch) -> None:
    lake.people(9)

    def die(*arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    run = Run("one")
    with monkeypatch.context() as patch:
        patch.setattr("include.lake.table_sizes.measure_tables", die)
        patch.setattr("include.lake.turn.give_back_turn", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            lake.end(run)
    assert ([row["anomalies"] for row in lake.rows], told) == (["too_many_records"], [])
    assert lake.end(run)["anomalies"] == "too_many_records"
    assert len(told) == 1


Break = Callable[[pytest.MonkeyPatch, Lake], None]


def break_cloudwatch(monkeypatch: pytest.MonkeyPatch, lake: Lake) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT", '{"conn_type": "aws", "extra": {"endpoint_url": "http://127.0.0.1:9"}}'
    )
    environment = lake.environment.model_copy(update={"metrics_namespace": "SalesforceIcebergPipeline"})
    lake.flow = Flow(object_file=USER, environment=environment, catalog=lake.catalog)


def break_sizes(monkeypatch: pytest.MonkeyPatch, lake: Lake) -> None:
    lake.catalog.create_namespace_if_not_exists("sf_ops")
    lake.catalog.create_table(
        "sf_ops.table_sizes", pa.schema([("x", pa.string())]), properties={"sf-history.layout-version": "99"}
    )


@pytest.mark.parametrize("broken", [break_cloudwatch, break_sizes])
def test_what_cannot_be_measured_fails_no_run(lake: Lake, monkeypatch: pytest.MonkeyPatch, broken: Break) -> None:
    lake.people(3)
    broken(monkeypatch, lake)
    assert lake.end(Run("one"))["state"] == "success"
