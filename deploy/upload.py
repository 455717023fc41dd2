"""The bundle in the scripts bucket: only what has changed goes there, by checksum."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.problem import DeployFailed, error_code, explained

#: Metadata of an object: a checksum of its own, because the ETag of an encrypted object is none.
_CHECKSUM = "sha256"
_AT_ONCE = 8
_DAGS = "dags/"
#: The three files that MWAA starts from, by the parameter that names their version.
VERSIONED = {
    "PluginsVersion": "plugins.zip",
    "RequirementsVersion": "requirements.txt",
    "StartupVersion": "startup.sh",
}


@dataclass(frozen=True)
class Upload:
    """What the bucket lacks of a bundle.

    :param bucket: its name.
    :param put: key → file, of what is new or different.
    :param remove: keys below dags/ that the bundle no longer has.
    :param unchanged: how many files are there already.
    :param versions: key → version, of the versioned files that are there as they should be.
    :param checksums: key → that of the file when it was looked at.
    """

    bucket: str
    put: Mapping[str, Path] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    unchanged: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)

    @property
    def changes(self) -> bool:
        """Whether anything is to be uploaded or removed."""
        return bool(self.put or self.remove)


def check_environment(bundle: Path, environment: str) -> None:
    """Refuse a bundle that was built for another environment.

    :param bundle: the folder that `make mwaa` fills.
    :param environment: that it is to be of.
    :raises DeployFailed: naming both.
    """
    startup = bundle / VERSIONED["StartupVersion"]
    said = re.findall(r"^export SF_HISTORY_ENV=(\S+)$", startup.read_text("utf-8") if startup.exists() else "", re.M)
    if said != [environment]:
        raise DeployFailed(
            f"the bundle in {bundle} is {said[-1] if said else 'nobody'}'s, not {environment}'s (SF_HISTORY_ENV in "
            f"{startup.name}).",
            f"Build it: make mwaa ENV={environment}.",
        )


def compare(account: Account, bucket: str, bundle: Path, *, there: bool) -> Upload:
    """Hold a bundle against the bucket.

    :param account: where the bucket is.
    :param bucket: its name.
    :param bundle: the folder that `make mwaa` fills.
    :param there: whether the bucket exists; else everything is to be uploaded.
    :raises DeployFailed: when the bundle is not whole, or the bucket cannot be read.
    """
    files = {path.relative_to(bundle).as_posix(): path for path in sorted(bundle.rglob("*")) if path.is_file()}
    if missing := [name for name in VERSIONED.values() if name not in files]:
        raise DeployFailed(f"the bundle in {bundle} lacks {', '.join(missing)}.", "Build it anew: make mwaa.")
    sums = {key: _checksum(path.read_bytes()) for key, path in files.items()}
    if not there:
        return Upload(bucket, put=files, checksums=sums)
    client = account.client("s3")
    with explained(f"reading the bucket {bucket}"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_DAGS)
        keys = {item["Key"] for page in pages for item in page.get("Contents", [])}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            heads = dict(zip(files, pool.map(lambda key: _head(client, bucket, key), files), strict=True))
    same = {
        key: head for key, head in heads.items() if head is not None and head["Metadata"].get(_CHECKSUM) == sums[key]
    }
    return Upload(
        bucket,
        put={key: path for key, path in files.items() if key not in same},
        remove=tuple(sorted(keys - set(files))),
        unchanged=len(same),
        versions={key: same[key].get("VersionId", "") for key in VERSIONED.values() if key in same},
        checksums=sums,
    )


def carry_out(account: Account, upload: Upload) -> dict[str, str]:
    """Upload and remove what `compare` has found.

    Files go before the old ones are removed, so that Airflow never sees a DAG without what it imports.

    :param account: where the bucket is.
    :param upload: from `compare`.
    :return: parameter → version, of the versioned files.
    """
    client = account.client("s3")
    versions = dict(upload.versions)
    with explained(f"uploading to {upload.bucket}"):
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            made = pool.map(lambda key: _put(client, upload, key), upload.put)
            versions |= dict(zip(upload.put, made, strict=True))
        for start in range(0, len(upload.remove), 1000):
            chosen = [{"Key": key} for key in upload.remove[start : start + 1000]]
            answer = client.delete_objects(Bucket=upload.bucket, Delete={"Objects": chosen, "Quiet": True})
            if refused := answer.get("Errors"):
                raise DeployFailed(
                    f"{refused[0]['Key']} could not be removed from {upload.bucket}: {refused[0].get('Message')}",
                    "Allow s3:DeleteObject there, then run the same command again.",
                )
    return {parameter: versions[key] for parameter, key in VERSIONED.items()}


def _put(client: Any, upload: Upload, key: str) -> str:
    content, checksum = upload.put[key].read_bytes(), upload.checksums[key]
    if _checksum(content) != checksum:
        raise DeployFailed(
            f"{upload.put[key]} has changed since the plan was shown, so it was not uploaded.",
            "Something else writes there. Run the same command again when it is done.",
        )
    kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
    answer = client.put_object(
        Bucket=upload.bucket, Key=key, Body=content, ContentType=kind, Metadata={_CHECKSUM: checksum}
    )
    return str(answer.get("VersionId", ""))


def _head(client: Any, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        return dict(client.head_object(Bucket=bucket, Key=key))
    except ClientError as error:
        if error_code(error) in ("404", "NoSuchKey", "NotFound"):
            return None
        raise


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
