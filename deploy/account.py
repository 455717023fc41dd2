"""Who deploys, and where: the clients of an AWS session, the account, the region."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from deploy.names import DEFAULT_REGION
from deploy.problem import explained

_PATIENCE = {"retries": {"total_max_attempts": 5, "mode": "standard"}, "connect_timeout": 10, "read_timeout": 60}


@dataclass(frozen=True)
class Account:
    """Where one is, and as whom.

    :param number: of the account.
    :param partition: aws, aws-us-gov or aws-cn.
    :param region: of every client.
    :param identity: ARN of the user or role.
    """

    number: str
    partition: str
    region: str
    identity: str

    def client(self, service: str) -> Any:
        """A boto3 client.

        :param service: its name, such as cloudformation.
        """
        return _client(service, self.region)


def whoami(region: str | None = None) -> Account:
    """Ask AWS who this is.

    :param region: where to deploy; default: that of the session, else us-east-1.
    :raises DeployFailed: when there are no credentials, or they are not accepted.
    """
    with explained("asking AWS who you are"):
        chosen = region or boto3.Session().region_name or DEFAULT_REGION
        answer = _client("sts", chosen).get_caller_identity()
    return Account(
        number=answer["Account"], partition=answer["Arn"].split(":")[1], region=chosen, identity=answer["Arn"]
    )


@cache
def _client(service: str, region: str) -> Any:
    # MWAA puts api. or env. before the host; where a host is named, it is that host.
    named = any(os.environ.get(name) for name in (f"AWS_ENDPOINT_URL_{service.upper()}", "AWS_ENDPOINT_URL"))
    config = Config(**_PATIENCE, **({"inject_host_prefix": False} if named else {}))  # type: ignore[arg-type]
    make: Any = boto3.client
    return make(service, region_name=region, config=config)
