"""What of an environment holds data, and how it is dropped: buckets with all versions, databases, secret, key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from deploy.account import Account
from deploy.names import Names
from deploy.problem import DeployFailed, error_code, explained

#: How long AWS keeps a key that is to go; until then it can be had back.
KEY_DAYS = 30
#: It is not there, or it is on its way out.
_ABSENT = (
    "404",
    "KMSInvalidStateException",
    "InvalidRequestException",
    "NoSuchBucket",
    "EntityNotFoundException",
    "ResourceNotFoundException",
    "NotFoundException",
)


@dataclass(frozen=True, kw_only=True)
class KeptThings:
    """What holds data, as far as it is there.

    :param buckets: their names.
    :param databases: Glue database → number of tables.
    :param secret: the secret; empty: there is none of this environment's own.
    :param key: ARN of the KMS key; empty: there is none.
    :param foundation: the stack that made them; empty: it is not there.
    """

    buckets: tuple[str, ...]
    databases: Mapping[str, int]
    secret: str
    key: str
    foundation: str

    def lines(self) -> list[str]:
        """One line each, for people."""
        return [
            *(f"bucket s3://{bucket}" for bucket in self.buckets),
            *(f"Glue database {database} ({tables} tables)" for database, tables in self.databases.items()),
            *([f"secret {self.secret}"] if self.secret else []),
            *([f"KMS key {self.key} (AWS keeps it for {KEY_DAYS} days)"] if self.key else []),
            *([f"stack {self.foundation} (workgroup, topic, log groups, alarms)"] if self.foundation else []),
        ]


def kept_things(account: Account, names: Names, *, own_secret: bool) -> KeptThings:
    """Find out what there is.

    :param account: where it is.
    :param names: of the environment.
    :param own_secret: whether the secret is this environment's own.
    """
    with explained(f"looking what there is of {names.environment}"):
        s3, glue = account.client("s3"), account.client("glue")
        buckets = tuple(name for name in names.buckets if _there(lambda name=name: s3.head_bucket(Bucket=name)))  # type: ignore[misc]
        databases = {
            name: len(_tables(glue, name))
            for name in names.databases
            if _there(lambda name=name: glue.get_database(Name=name))  # type: ignore[misc]
        }
        secrets = account.client("secretsmanager")
        secret = names.secret if own_secret and _there(lambda: secrets.describe_secret(SecretId=names.secret)) else ""
        stack = _there(lambda: account.client("cloudformation").describe_stacks(StackName=names.foundation))
        return KeptThings(
            buckets=buckets,
            databases=databases,
            secret=secret,
            key=_key(account, names, buckets),
            foundation=names.foundation if stack else "",
        )


def drop_data(account: Account, kept: KeptThings, console: Console, *, foundation: Callable[[], None]) -> None:
    """Drop all of it. May be interrupted and done again.

    :param account: where it is.
    :param kept: what there is.
    :param console: what people see.
    :param foundation: deletes the foundation's stack.
    :raises DeployFailed: with what could not be deleted.
    """
    s3, glue = account.client("s3"), account.client("glue")
    for database in kept.databases:
        with explained(f"deleting the tables of {database}"):
            for table in _tables(glue, database):
                glue.delete_table(DatabaseName=database, Name=table)
    for bucket in kept.buckets:
        with explained(f"emptying the bucket {bucket}"):
            console.print(f"  {_emptied(s3, bucket):,} objects and versions deleted from s3://{bucket}")
    foundation()
    # What its templates keep when their stack goes. The key first: once the buckets have gone, nobody knows it.
    with explained("deleting what the stack has left"):
        if kept.key:
            kms = account.client("kms")
            if _there(lambda: kms.schedule_key_deletion(KeyId=kept.key, PendingWindowInDays=KEY_DAYS)):
                console.print(
                    f"  the key goes in {KEY_DAYS} days; until then: aws kms cancel-key-deletion --key-id {kept.key}"
                )
        for database in kept.databases:
            _there(lambda database=database: glue.delete_database(Name=database))  # type: ignore[misc]
        if kept.secret:
            secrets = account.client("secretsmanager")
            _there(lambda: secrets.delete_secret(SecretId=kept.secret, ForceDeleteWithoutRecovery=True))
        for bucket in kept.buckets:
            _there(lambda bucket=bucket: s3.delete_bucket(Bucket=bucket))  # type: ignore[misc]


def _emptied(s3: Any, bucket: str) -> int:
    deleted = 0
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        chosen = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        if chosen:
            answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": chosen, "Quiet": True})
            if refused := answer.get("Errors"):
                raise DeployFailed(
                    f"{refused[0]['Key']} could not be deleted from {bucket}: {refused[0].get('Message')}",
                    "Allow s3:DeleteObjectVersion there, then run the same command again.",
                )
        deleted += len(chosen)
    return deleted


def _tables(glue: Any, database: str) -> list[str]:
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=database)
    return [table["Name"] for page in pages for table in page["TableList"]]


def _key(account: Account, names: Names, buckets: tuple[str, ...]) -> str:
    """The environment's key: behind its alias; where the stack has gone, and the alias with it, in its buckets."""
    pages = account.client("kms").get_paginator("list_aliases").paginate()
    for alias in (alias for page in pages for alias in page["Aliases"]):
        if alias["AliasName"] == f"alias/{names.mwaa}" and alias.get("TargetKeyId"):
            return f"arn:{account.partition}:kms:{account.region}:{account.number}:key/{alias['TargetKeyId']}"
    for bucket in buckets:
        found = account.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        for rule in found["Rules"]:
            if key := rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID"):
                return str(key)
    return ""


def _there(asked: Callable[[], object]) -> bool:
    """Ask; False: it is not there."""
    try:
        asked()
    except ClientError as error:
        if error_code(error) in _ABSENT or "does not exist" in str(error):
            return False
        raise
    return True
