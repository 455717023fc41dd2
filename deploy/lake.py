"""The lake of an environment, as whoever deploys sees it: its catalog, and the settings that Airflow finds it by."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from pyiceberg.catalog import Catalog, load_catalog

from deploy.account import Account
from deploy.names import Names


def open_lake(account: Account, names: Names) -> Catalog:
    """The Glue catalog of an environment.

    :param account: where it is.
    :param names: of the environment.
    """
    properties = {"glue.region": account.region, "s3.region": account.region, "warehouse": _home(names)}
    # boto3 finds an endpoint of one's own by itself, pyarrow does not.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        properties["s3.endpoint"] = endpoint
    return load_catalog("lake", type="glue", **properties)


def settings_of(names: Names, account: Account, values: Mapping[str, str]) -> dict[str, str]:
    """Settings of an environment, which its startup script exports; nothing secret is among them.

    They follow from names alone, so that the bundle can be built before anything is there. The rest of what it exports
    follows from these (deploy/startup_settings.py).

    :param names: of the environment.
    :param account: where it is.
    :param values: parameters that people have chosen.
    """
    own_secret = values.get("ExistingSalesforceSecretArn")
    extra = {"type": "glue", "glue.region": account.region, "s3.region": account.region, "warehouse": _home(names)}
    return {
        "SF_HISTORY_STAGING_URI": f"s3://{names.bucket('staging')}/salesforce",
        "SF_HISTORY_QUERY_RESULTS_URI": f"s3://{names.bucket('athena-results')}/queries",
        # The staging bucket forgets; the dimension is to be kept.
        "SF_HISTORY_CURATED_LOCATION": f"s3://{names.bucket('raw')}/",
        "SF_HISTORY_SNS_TOPIC_ARN": f"arn:{account.partition}:sns:{account.region}:{account.number}:{names.topic}",
        "AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps({"conn_type": "iceberg", "extra": extra}, sort_keys=True),
        **({"SF_HISTORY_SALESFORCE_SECRET": own_secret} if own_secret else {}),
    }


def _home(names: Names) -> str:
    return f"s3://{names.bucket('raw')}"
