"""OpenLineage, switched on by a setting and nothing else: a real run tells what it read and wrote, and no secret."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from local.org.handle import OrgHandle
from tests.e2e.conftest import run_replay

pytestmark = pytest.mark.scheduler

Lineage = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def emitted(laptop: Path) -> list[dict[str, Any]]:
    """The events of a run over an org of three users."""
    scenario = laptop / "users.jsonl"
    lines = [
        {"at": "2026-01-05T01:00:00Z", "op": "insert", "object": "User", "Id": f"005{number:012d}"}
        | {"fields": {"Name": name, "Division": "North"}}
        for number, name in enumerate(["Ann", "Bob", "Cid"])
    ]
    scenario.write_text("".join(json.dumps(line) + "\n" for line in lines))
    events = laptop / "openlineage.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        transport = {"type": "file", "log_file_path": str(events), "append": True}
        patch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(transport))
        run_replay(laptop, "--scenario", str(scenario))
    return [json.loads(line) for line in events.read_text().splitlines()]


def datasets(emitted: list[dict[str, Any]], side: str) -> Lineage:
    """Datasets by task and by name."""
    return {
        event["job"]["name"].partition(".")[2]: {dataset["name"]: dataset for dataset in event.get(side, [])}
        for event in emitted
        if event["eventType"] == "COMPLETE"
    }


def test_every_task_starts_and_completes(emitted: list[dict[str, Any]]) -> None:
    seen: dict[str, list[str]] = {}
    for event in emitted:
        seen.setdefault(event["job"]["name"].partition(".")[2], []).append(event["eventType"])
    tasks = {name: kinds for name, kinds in seen.items() if name}
    assert set(tasks) > {"check_source", "extract", "validate", "upsert_raw", "take_turn", "publish_metrics"}
    assert sum(name.startswith("dbt_scd2.") for name in tasks) > 10
    assert {tuple(kinds) for kinds in tasks.values()} == {("START", "COMPLETE")}


def test_the_line_from_salesforce_to_the_dimension_is_unbroken(emitted: list[dict[str, Any]], laptop: Path) -> None:
    read, written = datasets(emitted, "inputs"), datasets(emitted, "outputs")
    (source,) = read["extract"].values()
    assert (source["namespace"].startswith("salesforce://00D"), source["name"]) == (True, "User")
    assert {"Name", "Audit_Phase__c"} <= {field["name"] for field in source["facets"]["schema"]["fields"]}
    assert source["inputFacets"]["inputStatistics"]["rowCount"] == 3
    assert set(written["extract"]) == set(read["validate"])
    assert set(written["validate"]) == set(read["upsert_raw"])
    assert set(written["upsert_raw"]) == {"lake.sf_raw.sf_user", "lake.sf_raw.sf_user_changes"}

    log = written["upsert_raw"]["lake.sf_raw.sf_user_changes"]
    assert log["outputFacets"]["outputStatistics"]["rowCount"] == 3
    assert {"id", "division", "_row_hash"} <= {field["name"] for field in log["facets"]["schema"]["fields"]}

    # dbt's half is Cosmos's: it must call the tables by the same names, or lineage ends at the lake.
    (staged,) = read["dbt_scd2.stg_sf_user_changes.run"].values()
    assert (staged["namespace"], staged["name"]) == (log["namespace"], log["name"])
    assert "lake.sf_curated.dim_sf_user_scd" in written["dbt_scd2.dim_sf_user_scd.run"]


def test_a_model_tells_the_sql_that_was_run(emitted: list[dict[str, Any]]) -> None:
    name = "sf_user_pipeline.dbt_scd2.dim_sf_user_scd.run"
    (ended,) = [event for event in emitted if (event["job"]["name"], event["eventType"]) == (name, "COMPLETE")]
    assert "int_sf_user_versions" in ended["job"]["facets"]["sql"]["query"]


def test_no_secret_is_in_it(emitted: list[dict[str, Any]], laptop: Path) -> None:
    connection = OrgHandle(laptop / "org").connection()
    secrets = [
        connection.get("password"),
        *(connection["extra"].get(key) for key in ("consumer_secret", "security_token")),
    ]
    told = json.dumps(emitted)
    assert any(secrets)
    for secret in filter(None, secrets):
        assert secret not in told


def test_airflow_has_an_event_of_each_table_that_has_changed(emitted: list[dict[str, Any]], laptop: Path) -> None:
    query = (
        "select asset.name, event.source_task_id, event.extra, active.name is not null from asset_event as event "
        "join asset on asset.id = event.asset_id left join asset_active as active on active.name = asset.name"
    )
    with sqlite3.connect(laptop / "airflow" / "airflow.db") as database:
        rows = database.execute(query).fetchall()
    assert {(name, task) for name, task, _, _ in rows} == {
        ("sf_raw.sf_user_changes", "upsert_raw"),
        ("sf_raw.sf_user", "upsert_raw"),
        ("sf_curated.dim_sf_user_scd", "publish_metrics"),
        ("sf_curated.dim_sf_user_current", "publish_metrics"),
        ("sf_curated.sf_user_snapshot", "publish_metrics"),
    }
    assert all(active for *_, active in rows), "an asset that is not active is not shown, and cannot be referred to"
    told = {name: json.loads(extra) for name, _, extra, _ in rows}
    assert told["sf_raw.sf_user_changes"]["rows_logged"] == 3
    assert {name: told["sf_curated.dim_sf_user_scd"][name] for name in ("versions_opened", "records")} == {
        "versions_opened": 3,
        "records": 3,
    }
