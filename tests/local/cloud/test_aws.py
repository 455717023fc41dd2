"""The stand-in for AWS keeps Glue's rule on which Iceberg's commits rest."""

from __future__ import annotations

import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3
import pyarrow as pa
import pytest
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException

from local.cloud.aws import start_aws


def test_a_port_that_is_taken_is_said_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "local.cloud.aws", "--port", port], capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr


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
