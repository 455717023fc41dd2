"""The tables about runs, layouts, and the weekly upkeep, on Glue and S3: as on a laptop."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from include.alerts.alert import Alert
from include.config.operating import TableUpkeep, Upkeep
from include.lake import alert_log
from include.lake.expiry import written_at
from include.lake.layout import CURRENT, LAYOUT_VERSION
from include.lake.names import RawTables
from include.lake.run_log import read_runs, record_run
from include.lake.table_files import stored_files
from include.lake.table_sizes import measure_tables, read_sizes, record_sizes
from include.lake.turn import give_back_turn, take_turn, who_has_the_turn
from include.staging import store
from include.upkeep.staged import expire_query_results, expire_staged
from include.upkeep.tables import object_tables, operations_tables
from include.upkeep.upkeep import keep_up
from include.upkeep.upkeep_log import record_upkeep
from tests.cloud.conftest import Cloud, CloudLake
from tests.include.upkeep.conftest import rows_of

LATER = datetime.now(UTC) + timedelta(days=30)
SOON = TableUpkeep(keep_history=timedelta(days=7), keep_snapshots=1, compact_from_files=2)
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def with_runs(lake: CloudLake, count: int = 5) -> None:
    """So many runs, each with a file of its own in the log."""
    lake.object_file = lake.object_file.model_copy(
        update={"upkeep": Upkeep(mirror=SOON, changes=SOON, orphans_after=timedelta(days=3))}
    )
    for number in range(1, count + 1):
        division = ("North", "South")[number % 2]
        lake.run([lake.record("a", number, division=division)], start=0 if number > 1 else None, end=number + 0.5)


def test_the_log_is_compacted_expired_and_rid_of_orphans(lake: CloudLake) -> None:
    with_runs(lake)
    raw, s3 = lake.cloud.raw, boto3.client("s3")
    orphan = f"{lake.environment.raw_namespace}/sf_user_changes/data/of a killed run.parquet"
    s3.put_object(Bucket=raw, Key=orphan, Body=b"nobody refers to it")
    kept = next(one for one in object_tables(lake.object_file, lake.environment) if one.place == "changes")
    before = rows_of(lake.table("changes"))
    foreseen = keep_up(lake.catalog, kept, lake.environment, now=LATER, dry_run=True)
    assert foreseen is not None
    assert foreseen.after == foreseen.before
    with lake.cloud.wire.listen() as said:
        report = keep_up(lake.catalog, kept, lake.environment, now=LATER)
    assert report is not None
    assert report.files_compacted == foreseen.files_compacted == 5
    # A compaction leaves manifests that it has merged itself; on a real clock they are too young to be orphans.
    assert foreseen.orphans_deleted == 1
    assert (report.orphans_deleted or 0) >= 1
    assert (report.after.data_files, report.after.delete_files, report.after.records) == (1, 0, 5)
    assert report.snapshots_expired
    assert report.files_deleted
    assert rows_of(lake.table("changes")) == before
    # Every file that is still there is one that the table needs, and the other way round.
    there = lake.cloud.keys(raw, f"{lake.environment.raw_namespace}/sf_user_changes/")
    assert len(there) == report.after.stored_files == len(stored_files(lake.table("changes")))
    assert orphan not in there
    folder = f"{lake.environment.raw_namespace}/sf_user_changes/"
    assert {one.prefix for one in said if one.operation == "ListObjects" and not one.prefix.endswith(".json/")} == {
        folder
    }
    # A second time there is nothing to do, and the lake goes on.
    again = keep_up(lake.catalog, kept, lake.environment, now=LATER)
    assert again is not None
    assert (again.files_compacted, again.snapshots_expired, again.orphans_deleted) == (0, 0, 0)
    lake.run([lake.record("b", 9)], start=5, end=10)
    assert sorted(lake.mirror()) == ["a", "b"]


def test_files_of_a_table_are_looked_after_by_the_rights_of_its_connection(
    lake: CloudLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's own credentials are for the staging store; the Iceberg connection may have others, or another S3."""
    with_runs(lake, 1)
    table = lake.table("changes")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert stored_files(table)
    assert written_at(table) is not None


def test_what_is_recorded_about_runs_can_be_read(lake: CloudLake) -> None:
    with_runs(lake, 2)
    operations, catalog = lake.environment.operations_namespace, lake.catalog
    for state in ("failed", "success"):
        record_run(catalog, operations, {"run_id": "first", "object": "User", "state": state})
    assert [(row["run_id"], row["state"]) for row in read_runs(catalog, operations).to_pylist()] == [
        ("first", "success")
    ]
    sizes = measure_tables(catalog, lake.tables, operations_namespace=operations)
    record_sizes(catalog, operations, sizes, run_id="first", object_name="User", environment="development")
    assert read_sizes(catalog, operations, run_id="first", object_name="User") == sizes
    assert {(size.role, size.records) for size in sizes} == {
        ("mirror", 1), ("changes", 2), ("ledger", 0), ("operations", 1),
    }  # fmt: skip
    told = {"headline": "extract failed", "remedy": "Do this.", "links": {}, "environment": "development"}
    about = {"kind": "run_failed", "object": "User", "dag_id": "sf_user_pipeline", "run_id": "r1", "at": NOW}
    alert = Alert.model_validate({"key": "k", **told, **about})
    assert [alert_log.claim(catalog, operations, alert, at=NOW) for _ in range(2)] == [True, False]
    alert_log.record_attempt(catalog, operations, "k", at=NOW, delivered=["sns"], failed={})
    assert alert_log.resolve(catalog, operations, ["k"], at=NOW, by="r2") == ["k"]
    assert alert_log.open_failures(catalog, operations) == []
    for kept in operations_tables(catalog, lake.environment):
        report = keep_up(catalog, kept, lake.environment, now=LATER)
        assert report is not None
        record_upkeep(catalog, operations, report, run_id="upkeep", environment="development")
    assert catalog.load_table(f"{operations}.upkeep").scan().count() == 3


def test_a_turn_is_taken_by_one(lake: CloudLake) -> None:
    with_runs(lake, 1)
    assert take_turn(lake.catalog, lake.tables, run_id="one", goes_on=lambda _: True) is None
    assert take_turn(lake.catalog, lake.tables, run_id="two", goes_on=lambda _: True) == "one"
    give_back_turn(lake.catalog, lake.tables, run_id="one")
    assert who_has_the_turn(lake.catalog, lake.tables) is None


def test_an_older_layout_is_brought_up_to_date(lake: CloudLake) -> None:
    with_runs(lake, 1)
    tables: Any = RawTables.of(lake.object_file, lake.environment)
    ledger = lake.catalog.load_table(tables.ledger)
    with ledger.transaction() as older:
        with older.update_schema(allow_incompatible_changes=True) as schema:
            schema.delete_column("content")
        older.set_properties({LAYOUT_VERSION: "1"})
    lake.run([lake.record("a", 3, division="West")], start=0, end=4)
    ledger.refresh()
    assert ledger.properties[LAYOUT_VERSION] == str(CURRENT)
    assert "content" in ledger.schema().column_names


def test_left_overs_go_and_nothing_else(cloud: Cloud) -> None:
    environment, s3 = cloud.environment, boto3.client("s3")
    for key in (
        "sf_user/run-1/extract/rows-0.parquet",
        "sf_user/run-2/extract/rows-0.parquet",
        "_bulk_jobs/sf_user/a/i",
    ):
        store.write_text(store.join(environment.staging_uri, key), "x")
    query = "0b1e6b3c-6a39-4a57-8d2f-0c3d1c5b7a11"
    results = [f"queries/2026/11/{query}{end}" for end in (".csv", ".csv.metadata", ".txt")]
    others = [f"elsewhere/{query}.csv", "queries/tables/data.parquet"]
    for key in (*results, *others):
        s3.put_object(Bucket=cloud.results, Key=key, Body=b"x")
    week = timedelta(days=7)
    assert expire_staged(environment.staging_uri, "sf_user", keep=week, now=datetime.now(UTC)) == []
    gone = expire_staged(environment.staging_uri, "sf_user", keep=week, now=LATER)
    assert gone == [f"{environment.staging_uri}/sf_user/run-{number}" for number in (1, 2)]
    assert cloud.keys(cloud.staging) == ["salesforce/_bulk_jobs/sf_user/a/i"]
    with cloud.wire.listen() as said:
        assert len(expire_query_results(environment.query_results_uri, keep=week, now=LATER)) == len(results)
    assert cloud.keys(cloud.results) == others
    assert {one.prefix for one in said if one.operation == "ListObjects"} == {"queries/"}
