"""The whole flow on Glue and S3, by Airflow's connection: what the org holds, encrypted, where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3

from include.config.object_file import ObjectFile, read_object_files
from include.lake.watermark import LakeState
from local.faults.bench import RUNS, numbered_run
from local.faults.world import EVENING, NOON, SIX, expected_users, user
from local.org.handle import OrgHandle
from tests.cloud.conftest import CloudBench
from tests.cloud.wire import Request
from tests.include.lake.remains import remains

FILE = read_object_files()["user"].model_copy(update={"batch_size": 200})


def run(bench: CloudBench, org: OrgHandle, number: int, **kwargs: Any) -> Any:
    org.set_clock(RUNS[number])
    return bench.run(numbered_run(number), **kwargs)


def test_loads_changes_and_deletions_are_those_of_the_org(bench: CloudBench, org: OrgHandle) -> None:
    cloud = bench.cloud
    with cloud.wire.listen() as said:
        run(bench, org, 1)
        assert bench.lake().mirror == expected_users(SIX)
        before = bench.lake()
        run(bench, org, 1)
        assert bench.lake() == before
        run(bench, org, 2)
        assert bench.lake().mirror == expected_users(NOON)
        run(bench, org, 3)
    assert bench.lake().mirror == expected_users(EVENING)
    assert LakeState.of(bench.table("mirror")).watermark == EVENING
    _in_their_places(bench)
    _encrypted(bench, said)


def _in_their_places(bench: CloudBench) -> None:
    """Tables below their database's location, staged files in the staging bucket, nothing anywhere else."""
    cloud, environment = bench.cloud, bench.flow.environment
    raw, curated, operations = cloud.namespaces
    for name in ("mirror", "changes", "quarantine", "ledger"):
        identifier = getattr(bench.flow.tables, name)
        namespace, _, table = identifier.partition(".")
        assert bench.table(name).location() == f"s3://{cloud.raw}/{namespace}/{table}"
    folders = {tuple(key.split("/")[:2]) for key in cloud.keys(cloud.raw)}
    assert folders == {
        (raw, "sf_user"),
        (raw, "sf_user_changes"),
        (raw, "sf_user_quarantine"),
        (curated, "sf_user_consumed"),
        (operations, "known_fields"),
    }
    staged = cloud.keys(cloud.staging)
    assert staged
    assert all(f"s3://{cloud.staging}/{key}".startswith(environment.staging_uri + "/sf_user/") for key in staged)


def _encrypted(bench: CloudBench, said: list[Request]) -> None:
    """By the bucket's own key: no request names another one, and none is in the clear."""
    cloud, s3 = bench.cloud, boto3.client("s3")
    assert said
    assert not [one for one in said if any("server-side-encryption" in name for name in one.headers)]
    for bucket in (cloud.raw, cloud.staging):
        for key in cloud.keys(bucket):
            head = s3.head_object(Bucket=bucket, Key=key)
            assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", cloud.key), key


def test_a_field_that_is_added_is_a_column_for_athena_too(
    make_bench: Callable[..., CloudBench], org: OrgHandle
) -> None:
    run(make_bench(object_file=FILE), org, 1)
    wider = ObjectFile.model_validate({**FILE.model_dump(), "fields": (*FILE.fields, "Title")})
    bench = make_bench(object_file=wider)
    run(bench, org, 2)
    assert bench.lake().mirror == expected_users(NOON)
    glue = boto3.client("glue")
    for name in ("mirror", "changes"):
        namespace, _, table = getattr(bench.flow.tables, name).partition(".")
        found = glue.get_table(DatabaseName=namespace, Name=table)["Table"]["StorageDescriptor"]["Columns"]
        assert {"Name": "title", "Type": "string"}.items() <= next(
            column.items() for column in found if column["Name"] == "title"
        )


def test_a_rejected_record_is_replayed_and_an_erased_one_is_nowhere(
    make_bench: Callable[..., CloudBench], org: OrgHandle, tmp_path: Path
) -> None:
    # Every user without a division is refused: the gate is opened, or nothing would be published.
    strict = FILE.model_copy(update={"required": ("Id", "Division"), "max_error_percent": 100.0})
    run(make_bench(object_file=strict), org, 1)
    expected = expected_users(SIX)
    refused = {key for key, (division, *_) in expected.items() if division is None}
    bench = make_bench(object_file=FILE)
    assert set(bench.lake().mirror) == set(expected) - refused
    assert {row["id"] for row in bench.rows("quarantine")} == refused
    assert bench.flow.replay_quarantine().replayed == len(refused)
    assert bench.lake().mirror == expected
    assert bench.flow.replay_quarantine().replayed == 0

    gone, cloud = user(4), bench.cloud  # refused and replayed: it is in the quarantine as well
    assert gone in refused
    assert remains(cloud.download(cloud.raw, tmp_path / "before"), gone)
    bench.flow.erase([gone], run_id="erase", alone=True)
    assert set(bench.lake().mirror) == set(expected) - {gone}
    for bucket in (cloud.raw, cloud.staging):
        assert remains(cloud.download(bucket, tmp_path / bucket), gone, gone[:15]) == []
    run(bench, org, 2)
    assert set(bench.lake().mirror) == set(expected_users(NOON)) - {gone}
