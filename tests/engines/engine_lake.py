"""A lake on Glue and S3 whose upserts an SQL engine does; everything else is as in the lakes on tmp_path."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import trino
from pyiceberg.catalog import Catalog, load_catalog

from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile
from include.config.operating import Upsert
from include.lake.sql_engine import Engine
from include.lake.upsert import upsert
from include.staging.manifest import UpsertManifest, ValidationManifest
from local.cloud.aws import Aws
from local.cloud.trino import CATALOG
from tests.include.lake.conftest import Lake


def trino_connection(port: int) -> trino.dbapi.Connection:
    """A connection as Airflow's hook would give. Statistics that nobody reads are not gathered: it saves seconds."""
    return trino.dbapi.connect(
        host="127.0.0.1",
        port=port,
        user="tests",
        catalog=CATALOG,
        session_properties={f"{CATALOG}.collect_extended_statistics_on_write": "false"},
    )


class EngineLake(Lake):
    """One lake on Glue and S3.

    :param aws: its Glue and S3.
    :param engine: does the upserts, whatever the mirror's size.
    :param object_file: the object.
    """

    def __init__(self, aws: Aws, engine: Engine, object_file: ObjectFile, folder: Any, **kwargs: Any) -> None:
        self.aws, self.engine = aws, engine
        self.key = uuid.uuid4().hex[:10]
        boto3.client("s3").create_bucket(Bucket=self.key)
        super().__init__(folder, object_file, **kwargs)

    def named(self) -> Environment:
        return current_environment(
            {
                "SF_HISTORY_RAW_NAMESPACE": f"raw_{self.key}",
                "SF_HISTORY_CURATED_NAMESPACE": f"curated_{self.key}",
                "SF_HISTORY_OPERATIONS_NAMESPACE": f"ops_{self.key}",
                "SF_HISTORY_STAGING_URI": f"s3://{self.key}/staging",
            }
        )

    def connect(self) -> Catalog:
        return load_catalog("glue", **self.aws.catalog_properties(), warehouse=f"s3://{self.key}/lake")

    def upsert(self, validation: ValidationManifest, *, by_engine: bool = True, **kwargs: Any) -> UpsertManifest:
        """Upsert what was staged, by the engine or by this worker."""
        engine = self.engine if by_engine else None
        always = self.object_file.model_copy(update={"upsert": Upsert(engine="engine")})
        return upsert(self.catalog, always, self.environment, validation, engine=engine, **kwargs)
