"""The tables as Airflow assets: what they are called, which tasks announce them, and what is an event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Asset, AssetAlias, AssetOrTimeSchedule, CronDataIntervalTimetable

from include.config.environment import current_environment
from include.config.object_file import read_object_files
from include.salesforce.window import RunRequest
from include.staging.manifest import ExtractionManifest
from local.faults.bench import Bench
from local.org.handle import OrgHandle, start_org
from salesforce_history.assets import ObjectAssets, announce_published
from salesforce_history.change_queue import ChangeQueueTrigger
from salesforce_history.operators import IcebergUpsertOperator, ValidateOperator
from salesforce_history.pipeline import build_pipeline
from salesforce_history.schedule import pipeline_schedule
from tests.plugins.asset_events import Events

FILES = read_object_files()
#: A rule that user.yml does not have: what it refuses can be replayed. Half of the records may be.
STRICT = FILES["user"].model_copy(update={"required": ("Id", "Name", "Division"), "max_error_percent": 50.0})
SIX = datetime(2026, 1, 5, 6, tzinfo=UTC)
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/sf-changes"


@pytest.fixture(scope="module")
def pipeline() -> DAG:
    return build_pipeline(FILES["user"], current_environment({"SF_HISTORY_ENV": "production"}))


def test_an_asset_is_called_as_its_table_and_no_more(pipeline: DAG) -> None:
    production = current_environment({"SF_HISTORY_ENV": "production"})
    assets = ObjectAssets.of(FILES["user"], production)
    assert assets.dimension == Asset("sf_curated_prod.dim_sf_user_scd", group="salesforce_history")
    # So a colleague's Asset("…"), which names no URI, is the same one.
    assert (assets.dimension.name, assets.dimension.uri) == ("sf_curated_prod.dim_sf_user_scd",) * 2


def test_which_tasks_announce_which_tables(pipeline: DAG) -> None:
    read = {task.task_id: {asset.name for asset in task.inlets} for task in pipeline.tasks if task.inlets}
    assert read == {
        "validate": {"sf_raw_prod.sf_user_quarantine"},
        "upsert_raw": {f"sf_raw_prod.sf_user{part}" for part in ("", "_changes", "_quarantine")},
        "publish_metrics": {
            f"sf_curated_prod.{name}" for name in ("dim_sf_user_scd", "dim_sf_user_current", "sf_user_snapshot")
        },
    }
    # An asset as an outlet would have an event of every run, whether it changed or not.
    outlets = {task.task_id: task.outlets for task in pipeline.tasks if task.outlets}
    alias = AssetAlias("sf_user_pipeline", group="salesforce_history")
    assert outlets == {"validate": [alias], "upsert_raw": [alias], "publish_metrics": [alias]}


def test_pools_bound_what_salesforce_and_athena_are_asked(pipeline: DAG) -> None:
    pools: dict[str, set[str]] = {}
    for task in pipeline.tasks:
        pools.setdefault(task.pool, set()).add(task.task_id)
    assert pools.pop("salesforce") == {"check_source", "extract"}
    assert pools.pop("default_pool") == {"validate", "upsert_raw", "take_turn", "publish_metrics"}
    (athena,) = pools.values()
    assert set(pools) == {"athena"}
    assert all(task == "rebuild_history" or task.startswith("dbt_scd2.") for task in athena)


def test_without_a_queue_the_clock_alone_starts_a_pipeline(pipeline: DAG) -> None:
    assert pipeline.schedule == CronDataIntervalTimetable("0 */6 * * *", timezone="UTC")


@pytest.mark.parametrize(
    ("url", "name", "queue"),
    [
        (QUEUE, "salesforce_changes", QUEUE),
        (f"{QUEUE}-{{table}}", "salesforce_changes.sf_user", f"{QUEUE}-sf_user"),
    ],
    ids=["one queue for all", "a queue an object"],
)
def test_with_a_queue_messages_start_it_too(url: str, name: str, queue: str) -> None:
    environment = current_environment({"SF_HISTORY_CHANGE_QUEUE_URL": url, "SF_HISTORY_AWS_CONN_ID": "ours"})
    schedule = pipeline_schedule(FILES["user"], environment)
    assert isinstance(schedule, AssetOrTimeSchedule)
    assert schedule.timetable == CronDataIntervalTimetable("0 */6 * * *", timezone="UTC")
    (asset,) = schedule.asset_condition.objects  # type: ignore[attr-defined]
    (watcher,) = asset.watchers
    assert isinstance(watcher.trigger, ChangeQueueTrigger)
    assert (asset.name, watcher.trigger.queue_url, watcher.trigger.aws_conn_id) == (name, queue, "ours")


class Pipeline:
    """A pipeline up to the lake, whose tasks announce what they did to an Airflow of its own."""

    def __init__(self, bench: Bench, org: OrgHandle) -> None:
        self.bench, self.org, self.events = bench, org, Events()

    def extract(self, number: int, **request: Any) -> ExtractionManifest:
        now = SIX + timedelta(hours=number)
        self.org.set_clock(now)
        client, flow = self.bench.client(self.org.connection()), self.bench.flow
        asked = RunRequest(kind="manual", run_after=now, **request)
        return flow.extract(client, flow.check_source(client, asked, run_id=f"run {number}"))

    def run(self, number: int, **request: Any) -> dict[str, dict[str, Any]]:
        """One run; what it announced."""
        extraction = self.extract(number, **request).model_dump(mode="json")
        validate = ValidateOperator(task_id="validate", object_file=STRICT, extraction=extraction)
        first = self.events.context(run_id=f"run {number}", params={})
        validated = validate.execute(first)  # type: ignore[arg-type]
        return self.events.succeeded(first) | self.upsert(number, validated)

    def upsert(self, number: int, validated: Any, *, killed: bool = False, **params: Any) -> dict[str, dict[str, Any]]:
        object_file = FILES["user"] if params else STRICT
        operator = IcebergUpsertOperator(task_id="upsert_raw", object_file=object_file, validation=validated)
        instance = SimpleNamespace(xcom_push=dict)
        context = self.events.context(run_id=f"run {number}", params=params, ti=instance)
        operator.execute(context)  # type: ignore[arg-type]
        return {} if killed else self.events.succeeded(context)


def line(hour: int, op: str, number: int, **fields: Any) -> dict[str, Any]:
    key = {"op": op, "object": "User", "Id": f"005{number:012d}AAA"}
    return {"at": f"2026-01-05T{hour:02d}:10:00Z", **key, **({"fields": fields} if fields else {})}


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """Two users; one moves at 06:10. At 08:10 a third has no division, and is refused."""
    lines = [
        line(1, "insert", 1, Name="a", Division="North"),
        line(1, "insert", 2, Name="b", Division="North"),
        line(6, "update", 2, Division="South"),
        line(8, "insert", 3, Name="c"),
        line(8, "update", 1, Division="West"),
    ]
    scenario = tmp_path / "users.jsonl"
    scenario.write_text("".join(json.dumps(event) + "\n" for event in lines), encoding="utf-8")
    with start_org(tmp_path / "org") as org:
        org.load_events(scenario)
        folder = tmp_path / "lake"
        iceberg = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(org.ca_bundle))
        monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": iceberg}))
        monkeypatch.setenv("SF_HISTORY_LAKE", str(folder))
        yield Pipeline(Bench(org, folder, api="rest", object_file=STRICT), org)


CHANGES, MIRROR, QUARANTINE = "sf_raw.sf_user_changes", "sf_raw.sf_user", "sf_raw.sf_user_quarantine"


def test_an_event_means_change_and_tells_the_counts(lake: Pipeline) -> None:
    first = lake.run(0)
    assert set(first) == {CHANGES, MIRROR}
    told = {name: first[CHANGES][name] for name in ("rows_logged", "deletions", "mirror_rows", "watermark", "run_id")}
    assert told == {
        "rows_logged": 2,
        "deletions": 0,
        "mirror_rows": 2,
        "watermark": "2026-01-05T06:00:00+00:00",
        "run_id": "run 0",
    }
    json.dumps(first)

    assert lake.run(1)[CHANGES]["rows_logged"] == 1
    assert lake.run(2) == {}, "nothing has happened: nobody is told, though the watermark has moved"
    third = lake.run(3)
    assert set(third) == {CHANGES, MIRROR, QUARANTINE}
    assert (third[QUARANTINE]["rows_quarantined"], third[QUARANTINE]["run_id"]) == (1, "run 3")
    assert sum(map(len, lake.events.kept.values())) == 7


def test_a_change_whose_task_died_is_announced_later_and_a_cleared_task_announces_nothing(lake: Pipeline) -> None:
    lake.run(0)
    validation = lake.bench.flow.validate(lake.extract(1)).model_dump(mode="json")
    assert lake.upsert(1, validation, killed=True) == {}
    again = lake.upsert(1, validation)
    assert set(again) == {CHANGES, MIRROR}
    assert again[CHANGES]["rows_logged"] == 0, "its own attempt logged nothing; what it announces is the change"
    assert lake.upsert(1, validation) == {}


def test_an_event_that_a_person_made_does_not_hide_what_was_announced(lake: Pipeline) -> None:
    lake.run(0)
    for extra in ({}, {"snapshot_id": "by hand"}, {"snapshot_id": None}):
        lake.events.kept[CHANGES].append(extra)
    assert lake.run(2, since=SIX + timedelta(hours=1)) == {}


def test_a_replay_of_the_quarantine_is_announced(lake: Pipeline) -> None:
    lake.run(3)
    validation = lake.bench.flow.validate(lake.extract(4)).model_dump(mode="json")
    told = lake.upsert(4, validation, replay_quarantine=True)
    assert set(told) == {CHANGES, MIRROR, QUARANTINE}
    assert (told[QUARANTINE]["rows_replayed"], told[CHANGES]["rows_logged"], told[MIRROR]["mirror_rows"]) == (2, 1, 3)
    assert lake.upsert(4, validation, replay_quarantine=True) == {}


def test_what_dbt_published_is_announced_with_its_view(lake: Pipeline) -> None:
    flow, row = lake.bench.flow, {"versions_opened": 2, "versions": 2, "records": 2, "state": "success", "api": "rest"}
    lake.run(0)
    table = flow.catalog.load_table(flow.tables.mirror)
    flow.catalog.create_namespace_if_not_exists("sf_curated")
    dimension = flow.catalog.create_table(flow.tables.dimension, table.schema())
    dimension.append(table.scan().to_arrow())

    def publish() -> dict[str, dict[str, Any]]:
        context = lake.events.context(run_id="run 0")
        announce_published(context, flow, row)  # type: ignore[arg-type]
        return lake.events.succeeded(context)

    told = publish()
    assert set(told) == {"sf_curated.dim_sf_user_scd", "sf_curated.dim_sf_user_current"}
    assert told["sf_curated.dim_sf_user_current"] == told["sf_curated.dim_sf_user_scd"]
    assert {name: told["sf_curated.dim_sf_user_scd"][name] for name in ("versions_opened", "versions", "records")} == {
        "versions_opened": 2,
        "versions": 2,
        "records": 2,
    }
    assert publish() == {}
