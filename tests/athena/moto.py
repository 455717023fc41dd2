"""Clients of the stand-in for AWS."""

from __future__ import annotations

from typing import Any

import boto3

from local.cloud.aws import REGION, Aws


def client(aws: Aws, service: str) -> Any:
    """A client of moto's.

    :param aws: where it is.
    :param service: such as `s3`.
    """
    return boto3.client(  # type: ignore[call-overload]
        service,
        endpoint_url=aws.endpoint,
        region_name=REGION,
        aws_access_key_id=aws.variables()["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws.variables()["AWS_SECRET_ACCESS_KEY"],
    )
