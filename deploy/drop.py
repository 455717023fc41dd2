"""What of an environment holds data, and how it is dropped: buckets with all versions, databases, secret, key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from deploy.account import Account
from deploy.names import Names
from deploy.ownership import BUCKET, DATABASE, KEY, Ownership, describe_secret, owns_secret
from deploy.problem import DeployFailed, error_code, explained

#: How long AWS keeps a key that is to go; until then it can be had back.
KEY_DAYS = 30
#: The same of a secret; as few as AWS allows, because until then there can be no other of its name.
SECRET_DAYS = 7
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

    def lines(self, *, going: bool) -> list[str]:
        """One line each, for people.

        :param going: they are to be deleted; AWS keeps some for a while even so.
        """
        secret = f" (AWS keeps it for {SECRET_DAYS} days)" if going else ""
        key = f" (AWS keeps it for {KEY_DAYS} days)" if going else ""
        return [
            *(f"bucket s3://{bucket}" for bucket in self.buckets),
            *(f"Glue database {database} ({tables} tables)" for database, tables in self.databases.items()),
            *([f"secret {self.secret}{secret}"] if self.secret else []),
            *([f"KMS key {self.key}{key}"] if self.key else []),
            *([f"stack {self.foundation} (workgroup, topic, log groups, alarms)"] if self.foundation else []),
        ]


def kept_things(account: Account, names: Names) -> KeptThings:
    """Find out what there is that the environment's foundation has made; what only has its name is somebody else's.

    :param account: where it is.
    :param names: of the environment.
    """
    ours = Ownership(account, names)
    with explained(f"looking what there is of {names.environment}"):
        s3, glue = account.client("s3"), account.client("glue")
        candidates = sorted(ours.made.get(BUCKET, ())) or names.buckets
        buckets = tuple(
            name
            for name in candidates
            if _there(lambda name=name: s3.head_bucket(Bucket=name))  # type: ignore[misc]
            and ours.owns(BUCKET, name, lambda name=name: _bucket_tags(s3, name))  # type: ignore[misc]
        )
        databases = {
            name: len(_tables(glue, name)) for name in names.databases if _owns_database(glue, ours, name, buckets)
        }
        found = describe_secret(account, names.secret)
        own_secret = found is not None and not found.get("DeletedDate") and owns_secret(ours, found)
        stack = _there(lambda: account.client("cloudformation").describe_stacks(StackName=names.foundation))
        return KeptThings(
            buckets=buckets,
            databases=databases,
            secret=names.secret if own_secret else "",
            key=_key(account, names, ours, buckets),
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
            _there(lambda: secrets.delete_secret(SecretId=kept.secret, RecoveryWindowInDays=SECRET_DAYS))
            console.print(
                f"  the secret goes in {SECRET_DAYS} days; until then: aws secretsmanager restore-secret --secret-id "
                f"{kept.secret}"
            )
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


def _bucket_tags(s3: Any, bucket: str) -> list[dict[str, str]]:
    try:
        return list(s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except ClientError as error:
        if error_code(error) == "NoSuchTagSet":
            return []
        raise


def _owns_database(glue: Any, ours: Ownership, name: str, buckets: tuple[str, ...]) -> bool:
    """A database without a stack has no tag to read: it is ours if it lies in a bucket of ours."""
    try:
        place = glue.get_database(Name=name)["Database"].get("LocationUri", "")
    except ClientError as error:
        if error_code(error) in _ABSENT:
            return False
        raise
    if ours.made:
        return name in ours.made.get(DATABASE, ())
    return any(str(place).startswith(f"s3://{bucket}/") for bucket in buckets)


def _key(account: Account, names: Names, ours: Ownership, buckets: tuple[str, ...]) -> str:
    """The environment's key: that of the stack; where the stack has gone, that of the buckets it has left."""
    arn = f"arn:{account.partition}:kms:{account.region}:{account.number}:key/"
    if ours.made:
        return next((f"{arn}{key}" for key in ours.made.get(KEY, ())), "")
    kms = account.client("kms")
    aliases = (alias for page in kms.get_paginator("list_aliases").paginate() for alias in page["Aliases"])
    keys = [
        f"{arn}{alias['TargetKeyId']}"
        for alias in aliases
        if alias["AliasName"] == f"alias/{names.mwaa}" and alias.get("TargetKeyId")
    ]
    for bucket in buckets:
        found = account.client("s3").get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]
        rules = (rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in found["Rules"])
        keys += [str(rule["KMSMasterKeyID"]) for rule in rules if rule.get("KMSMasterKeyID")]
    return next((key for key in keys if ours.owns(KEY, key, lambda key=key: _key_tags(kms, key))), "")  # type: ignore[misc]


def _key_tags(kms: Any, key: str) -> list[dict[str, str]]:
    return list(kms.list_resource_tags(KeyId=key)["Tags"])


def _there(asked: Callable[[], object]) -> bool:
    """Ask; False: it is not there."""
    try:
        asked()
    except ClientError as error:
        if error_code(error) in _ABSENT or "does not exist" in str(error):
            return False
        raise
    return True
