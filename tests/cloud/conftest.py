"""An AWS on loopback, heard by the wire, and lakes on it: databases and buckets of their own for each test."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.flow import Flow
from include.lake.names import RawTables
from include.staging.manifest import Api
from local.cloud.aws import REGION, Aws, start_aws
from local.faults.bench import Bench
from local.faults.world import write_world
from local.org.handle import OrgHandle, start_org
from salesforce_history.connections import lake_catalog
from tests.cloud.wire import Wire, start_wire
from tests.include.lake.conftest import Lake

CONN_ID = "iceberg_default"
_numbers = itertools.count(1)


class Cloud:
    """Databases and buckets of one environment, as CloudFormation makes them, with the connection that leads there.

    :param wire: heard on the way.
    :param key: ARN of the KMS key that encrypts the buckets.
    """

    def __init__(self, wire: Wire, key: str) -> None:
        self.wire, self.key = wire, key
        number = next(_numbers)
        self.raw, self.staging, self.results = (f"lake-{number}-{name}" for name in ("raw", "staging", "results"))
        self.variables = {
            **Aws(wire.endpoint).variables(),
            "SF_HISTORY_ENV": "development",
            "SF_HISTORY_RAW_NAMESPACE": f"sf_raw_{number}",
            "SF_HISTORY_CURATED_NAMESPACE": f"sf_curated_{number}",
            "SF_HISTORY_OPERATIONS_NAMESPACE": f"sf_ops_{number}",
            "SF_HISTORY_STAGING_URI": f"s3://{self.staging}/salesforce",
            "SF_HISTORY_QUERY_RESULTS_URI": f"s3://{self.results}/queries",
            f"AIRFLOW_CONN_{CONN_ID.upper()}": json.dumps(
                {
                    "conn_type": "iceberg",
                    # pyiceberg does not tell pyarrow of AWS_ENDPOINT_URL; on AWS the first two are all there is.
                    "extra": {"type": "glue", "client.region": REGION, "s3.endpoint": wire.endpoint},
                }
            ),
        }

    def make(self) -> None:
        """Make buckets and databases. Needs the variables in the environment."""
        s3, glue = boto3.client("s3"), boto3.client("glue")
        for bucket in (self.raw, self.staging, self.results):
            s3.create_bucket(Bucket=bucket)
            rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": self.key}
            s3.put_bucket_encryption(
                Bucket=bucket,
                ServerSideEncryptionConfiguration={
                    "Rules": [{"ApplyServerSideEncryptionByDefault": rule, "BucketKeyEnabled": True}]
                },
            )
        for name in self.namespaces:
            glue.create_database(DatabaseInput={"Name": name, "LocationUri": f"s3://{self.raw}/{name}"})

    @property
    def environment(self) -> Environment:
        """The environment, as a task reads it."""
        return current_environment(self.variables)

    @property
    def namespaces(self) -> tuple[str, str, str]:
        """The databases: raw, curated, operations."""
        environment = self.environment
        return environment.raw_namespace, environment.curated_namespace, environment.operations_namespace

    def connect(self) -> Catalog:
        """A catalog of one's own, from the Airflow connection, as another task would have."""
        return lake_catalog(CONN_ID)

    def flow(self, object_file: ObjectFile | None = None) -> Flow:
        """The steps of a run, over this lake."""
        object_file = object_file or read_object_files()["user"]
        return Flow(object_file=object_file, environment=self.environment, catalog=self.connect())

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """What is in a bucket, without the empty objects that stand for folders."""
        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", []) if found["Key"][-1:] != "/"]

    def download(self, bucket: str, folder: Path) -> Path:
        """All files of a bucket, below a folder."""
        for key in self.keys(bucket):
            (folder / key).parent.mkdir(parents=True, exist_ok=True)
            boto3.client("s3").download_file(bucket, key, str(folder / key))
        return folder


class CloudBench(Bench):
    """Runs of the pipeline's steps, from the simulated org into a lake on Glue and S3."""

    def __init__(
        self, org: OrgHandle, cloud: Cloud, *, api: Api = "rest", object_file: ObjectFile | None = None
    ) -> None:
        self._org, self._api, self.cloud = org, api, cloud
        self.flow = cloud.flow(object_file or read_object_files()["user"].model_copy(update={"batch_size": 200}))

    def table(self, name: str) -> Table:
        """A table as it is now, by its name in the object's `RawTables`."""
        return self.cloud.connect().load_table(getattr(self.flow.tables, name))

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All rows of a table."""
        rows: list[dict[str, Any]] = self.table(name).scan().to_arrow().to_pylist()
        return rows


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """An empty AWS."""
    with start_aws() as running:
        yield running


@pytest.fixture(scope="session")
def wire(aws: Aws) -> Iterator[Wire]:
    """The proxy in front of it."""
    with start_wire(aws.endpoint) as running:
        yield running


@pytest.fixture(scope="session")
def encryption_key(aws: Aws) -> str:
    """ARN of a KMS key."""
    client = boto3.client(
        "kms",
        endpoint_url=aws.endpoint,
        region_name=REGION,
        aws_access_key_id="stand-in",
        aws_secret_access_key="stand-in",
    )
    return str(client.create_key()["KeyMetadata"]["Arn"])


@pytest.fixture
def bare_cloud(wire: Wire, encryption_key: str, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """An environment whose buckets and databases are still to be made."""
    cloud = Cloud(wire, encryption_key)
    for name, value in cloud.variables.items():
        monkeypatch.setenv(name, value)
    return cloud


@pytest.fixture
def cloud(bare_cloud: Cloud) -> Cloud:
    """An environment as CloudFormation leaves it: encrypted buckets, databases that say where their tables go."""
    bare_cloud.make()
    return bare_cloud


@pytest.fixture(scope="session")
def org_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the org."""
    return tmp_path_factory.mktemp("org")


@pytest.fixture(scope="session")
def _org(org_home: Path) -> Iterator[OrgHandle]:
    scenario = org_home / "world.jsonl"
    write_world(scenario)
    with start_org(org_home / "home") as running:
        running.load_events(scenario)
        yield running


@pytest.fixture
def org(_org: OrgHandle, monkeypatch: pytest.MonkeyPatch) -> OrgHandle:
    """An org in which the little world of the faults happens; it is trusted."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(_org.ca_bundle))
    return _org


@pytest.fixture
def bench(org: OrgHandle, cloud: Cloud) -> CloudBench:
    """Runs into an empty lake on the cloud."""
    return CloudBench(org, cloud)


@pytest.fixture
def make_bench(org: OrgHandle, cloud: Cloud) -> Callable[..., CloudBench]:
    """Makes more of them over the same lake: another object file, another writer."""
    return lambda **kwargs: CloudBench(org, cloud, **kwargs)


class CloudLake(Lake):
    """The lake of the upsert's tests, with its tables on Glue and S3."""

    def __init__(self, folder: Path, object_file: ObjectFile, cloud: Cloud) -> None:
        self.cloud = cloud
        super().__init__(folder, object_file)
        self.environment = cloud.environment
        self.tables = RawTables.of(object_file, self.environment)

    def connect(self) -> Catalog:  # type: ignore[override]
        """A catalog of one's own, as another task would have."""
        return self.cloud.connect()


@pytest.fixture
def lake(tmp_path: Path, cloud: Cloud) -> CloudLake:
    """An empty lake for User, whose batches are made by hand."""
    return CloudLake(tmp_path / "lake", read_object_files()["user"], cloud)
