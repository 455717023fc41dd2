"""The stand-in for AWS keeps Glue's rule on which Iceberg's commits rest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import boto3
import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException

from local.cloud.aws import start_aws


def test_of_two_who_planned_on_the_same_table_one_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pa.table({"id": ["a"]})
    with start_aws() as aws:
        for name, value in aws.variables().items():
            monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="lake")
        boto3.client("glue").create_database(DatabaseInput={"Name": "raw", "LocationUri": "s3://lake/raw"})
        catalog = load_catalog("lake", **aws.catalog_properties())
        catalog.create_table("raw.users", schema=rows.schema, properties={"commit.retry.num-retries": "0"})
        planned = [catalog.load_table("raw.users") for _ in range(6)]

        def commit(number: int) -> bool:
            try:
                planned[number].append(rows)
            except CommitFailedException:
                return False
            return True

        with ThreadPoolExecutor(6) as writers:
            committed = sum(writers.map(commit, range(6)))
        assert catalog.load_table("raw.users").scan().count() == committed == 1
