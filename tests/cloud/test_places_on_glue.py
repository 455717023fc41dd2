"""Databases, locations and rights: what is there is used, what is missing is named, and what AWS refuses is told."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pytest

from include.alerts.alert import Alert
from include.lake.alert_log import claim
from include.lake.denied import AwsRefused, denial
from include.lake.existence import NamespaceUnfit
from include.lake.run_log import record_run
from include.staging import store
from tests.cloud.conftest import Cloud, CloudLake
from tests.cloud.wire import Request, Spoiled, count, first, glue_error

NOT_ALLOWED = glue_error(
    "AccessDeniedException",
    "User: arn:aws:sts::123456789012:assumed-role/airflow/task is not authorized to perform: glue:CreateDatabase",
)
FORBIDDEN = Spoiled(
    403,
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code>'
    b"<Message>not authorized to perform: kms:GenerateDataKey</Message></Error>",
    "application/xml",
)
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def makes_a_database(request: Request) -> Spoiled | None:
    return NOT_ALLOWED if request.operation == "CreateDatabase" else None


def alert(key: str) -> Alert:
    told = {"headline": "extract failed", "remedy": "Do this.", "links": {}, "environment": "development"}
    about = {"kind": "run_failed", "object": "User", "dag_id": "sf_user_pipeline", "run_id": "r1", "at": NOW}
    return Alert.model_validate({"key": key, **told, **about})


def test_what_is_there_is_never_made_again(lake: CloudLake) -> None:
    """By no run: a role without glue:CreateDatabase will do, and no metadata is left over."""
    operations = lake.environment.operations_namespace

    def work(number: int) -> None:
        lake.run([lake.record("a", number)], start=None if number == 1 else 0, end=6 * number)
        record_run(lake.catalog, operations, {"run_id": f"run {number}", "object": "User", "state": "success"})
        assert claim(lake.catalog, operations, alert(f"key {number}"), at=NOW)

    with lake.cloud.wire.spoiled(makes_a_database):
        with lake.cloud.wire.listen() as said:
            work(1)
        assert count(said)["CreateDatabase"] == 0
        assert count(said)["CreateTable"] == 5
        with lake.cloud.wire.listen() as said:
            work(2)
            work(3)
    assert not {"CreateDatabase", "CreateTable"} & set(count(said))
    # Every metadata file is one that its table knows.
    for name in ("pipeline_runs", "alerts"):
        table = lake.catalog.load_table(f"{operations}.{name}")
        known = {entry.metadata_file for entry in table.metadata.metadata_log} | {table.metadata_location}
        there = lake.cloud.keys(lake.cloud.raw, f"{operations}/{name}/metadata/")
        assert {f"s3://{lake.cloud.raw}/{key}" for key in there if key.endswith(".json")} == known


def test_a_database_that_is_missing_and_may_not_be_made(lake: CloudLake) -> None:
    boto3.client("glue").delete_database(Name=lake.environment.raw_namespace)
    with lake.cloud.wire.spoiled(makes_a_database), pytest.raises(NamespaceUnfit) as refused:
        lake.run([lake.record("a", 1)], end=6)
    assert f"there is no database {lake.environment.raw_namespace}" in str(refused.value)
    assert "glue:CreateDatabase" in str(refused.value)


def test_a_database_without_a_location_gets_no_table(lake: CloudLake) -> None:
    raw = lake.environment.raw_namespace
    boto3.client("glue").update_database(Name=raw, DatabaseInput={"Name": raw})
    with pytest.raises(NamespaceUnfit, match=f"{raw}.sf_user cannot be made: the database {raw} has no location"):
        lake.run([lake.record("a", 1)], end=6)
    assert boto3.client("glue").get_tables(DatabaseName=raw)["TableList"] == []
    assert lake.cloud.keys(lake.cloud.raw) == []


def test_a_warehouse_in_the_connection_does_for_a_database_without_a_location(
    lake: CloudLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = lake.environment.raw_namespace
    boto3.client("glue").update_database(Name=raw, DatabaseInput={"Name": raw})
    variable = "AIRFLOW_CONN_ICEBERG_DEFAULT"
    with_warehouse = lake.cloud.variables[variable].replace(
        '"type": "glue"', f'"type": "glue", "warehouse": "s3://{lake.cloud.raw}/warehouse"'
    )
    monkeypatch.setenv(variable, with_warehouse)
    lake.catalog = lake.connect()  # type: ignore[assignment]
    lake.run([lake.record("a", 1)], end=6)
    assert lake.table("mirror").location().startswith(f"s3://{lake.cloud.raw}/warehouse/")


@pytest.mark.parametrize(
    ("operation", "spoiled", "said"),
    [
        ("GetTable", NOT_ALLOWED, "AWS refused GetTable"),
        ("UpdateTable", NOT_ALLOWED, "AWS refused UpdateTable"),
        ("MultipartUpload", FORBIDDEN, "of S3: "),
        ("GetObject", FORBIDDEN, "of S3: "),
    ],
)
def test_what_the_role_may_not_do_is_told_with_the_remedy(
    lake: CloudLake, operation: str, spoiled: Spoiled, said: str
) -> None:
    lake.run([lake.record("a", 1)], end=6)
    staged = lake.staged([lake.record("a", 7, division="South")], start=5, end=12)
    with (
        lake.cloud.wire.spoiled(first(99, operation, spoiled)),
        pytest.raises(Exception, match=r"(?i)access_?denied") as no,
    ):
        lake.upsert(staged)
    told = denial(no.value)
    assert isinstance(told, AwsRefused)
    assert said in str(told)
    assert "Rights in AWS" in str(told)
    assert denial(ValueError("something else")) is None
    assert lake.upsert(staged).logged == 1


def test_a_bucket_has_one_client(cloud: Cloud) -> None:
    location = f"s3://{cloud.staging}/salesforce/a name with spaces, 100%.txt"
    store.write_text(location, "it is there")
    with cloud.wire.listen() as said:
        assert all(store.exists(location) for _ in range(5))
    assert count(said) == {"HeadObject": 5}
    assert store.read_text(location) == "it is there"
    # Making one asks S3 for the bucket's region, where no endpoint is given.
    assert store.open_location(location)[0] is store.open_location(f"s3://{cloud.staging}/salesforce")[0]
