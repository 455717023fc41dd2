"""What an environment's own stack has made, and so may be deleted with it: nothing is taken for ours by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.names import Names
from deploy.problem import error_code, error_text, explained

BUCKET, DATABASE, KEY = "AWS::S3::Bucket", "AWS::Glue::Database", "AWS::KMS::Key"
SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 a type of resource
#: The foundation's template puts it on what outlives its stack; its value is the environment.
TAG = "sf-history"
#: Such a resource may be somebody else's, of the same name, or it is gone.
_NOT_MADE = ("CREATE_FAILED", "CREATE_IN_PROGRESS", "IMPORT_FAILED", "DELETE_COMPLETE")


class Ownership:
    """What the foundation of an environment has made.

    Where its stack is there, that is what CloudFormation lists. Where it is gone, it is what has the template's tag.

    :param account: where it is.
    :param names: of the environment.
    """

    def __init__(self, account: Account, names: Names) -> None:
        self._environment = names.environment
        self.made = _resources(account, names.foundation)

    def owns(self, kind: str, identifier: str, tags: Callable[[], Iterable[Mapping[str, str]]]) -> bool:
        """Whether a resource was made by the foundation.

        :param kind: its type.
        :param identifier: how CloudFormation calls it.
        :param tags: asks for its tags.
        """
        if self.made:
            return identifier in self.made.get(kind, ())
        found = [(tag.get("Key", tag.get("TagKey")), tag.get("Value", tag.get("TagValue"))) for tag in tags()]
        return (TAG, self._environment) in found


def describe_secret(account: Account, secret: str) -> dict[str, Any] | None:
    """What Secrets Manager says of a secret, but for its value; None: it is not there.

    :param account: where it is.
    :param secret: its name.
    """
    with explained(f"looking for the secret {secret}"):
        try:
            return dict(account.client("secretsmanager").describe_secret(SecretId=secret))
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            raise


def owns_secret(ownership: Ownership, described: Mapping[str, Any]) -> bool:
    """Whether a secret was made by the foundation.

    :param ownership: of the environment.
    :param described: from `describe_secret`.
    """
    return ownership.owns(SECRET, str(described["ARN"]), lambda: described.get("Tags") or [])


def _resources(account: Account, stack: str) -> dict[str, set[str]]:
    """Type → physical names; nothing where there is no such stack."""
    made: dict[str, set[str]] = {}
    with explained(f"reading the resources of {stack}"):
        try:
            for page in (
                account.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
            ):
                for resource in page["StackResourceSummaries"]:
                    if resource["ResourceStatus"] not in _NOT_MADE and resource.get("PhysicalResourceId"):
                        made.setdefault(resource["ResourceType"], set()).add(resource["PhysicalResourceId"])
        except ClientError as error:
            if "does not exist" not in error_text(error):
                raise
    return made
