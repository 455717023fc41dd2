"""The lake of one test on Athena: databases and folders of its own, and dbt's target `athena`."""

from __future__ import annotations

from pathlib import Path

from pyiceberg.catalog import Catalog, load_catalog

from local.cloud.aws import Aws
from tests.athena.endpoint import Athena
from tests.athena.moto import client
from tests.engines.engines import Engine, glue_engine


def athena_engine(athena: Athena, folder: Path, *, suffix: str = "") -> Engine:
    """Athena over databases of its own.

    :param athena: the endpoint.
    :param folder: for dbt's files and for staged ones.
    :param suffix: of its databases' names, and of the bucket's.
    """
    bucket = "-".join(["engines", *suffix.split("_")]).removesuffix("-")
    results = f"{bucket}-athena-results"
    client(athena.aws, "s3").create_bucket(Bucket=results)
    return glue_engine(
        "athena",
        athena.aws,
        folder,
        suffix=suffix,
        variables={
            **athena.variables(),
            "SF_HISTORY_DBT_TARGET": "athena",
            "SF_HISTORY_ATHENA_WORKGROUP": "primary",
            "SF_HISTORY_ATHENA_RESULTS": f"s3://{results}/dbt/",
            "SF_HISTORY_CURATED_LOCATION": f"s3://{bucket}/curated/",
            # Loopback answers at once; on AWS dbt looks once a second.
            "SF_HISTORY_ATHENA_POLL_SECONDS": "0.05",
        },
    )


def catalog_of(aws: Aws) -> Catalog:
    """The Glue catalog of a stand-in for AWS.

    :param aws: where it is.
    """
    return load_catalog("glue", **aws.catalog_properties())
