"""What an environment has in AWS before its first run: a bucket for tables, and the Glue databases in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import boto3

from local.cloud.aws import REGION, Aws


def prepare(aws: Aws, *, bucket: str, databases: Iterable[str]) -> str:
    """Make a bucket and Glue databases, each with a place in it; what is there stays.

    :param aws: where.
    :param bucket: its name.
    :param databases: their names.
    :return: the warehouse, `s3://bucket`.
    """
    s3, glue = _client(aws, "s3"), _client(aws, "glue")
    s3.create_bucket(Bucket=bucket)
    there = {
        database["Name"] for page in glue.get_paginator("get_databases").paginate() for database in page["DatabaseList"]
    }
    for name in databases:
        # Trino makes no table in a database that has no location.
        if name not in there:
            glue.create_database(DatabaseInput={"Name": name, "LocationUri": f"s3://{bucket}/{name}"})
    return f"s3://{bucket}"


def _client(aws: Aws, service: str) -> Any:
    keys, make = aws.variables(), cast("Any", boto3.client)
    return make(
        service,
        endpoint_url=aws.endpoint,
        region_name=REGION,
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
    )
