"""From Airflow's connections to the two clients the pipeline uses. The only place that touches secrets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook
from airflow.providers.salesforce.hooks.salesforce import SalesforceHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include.salesforce.client import SalesforceClient
from include.salesforce.errors import ConnectionIncomplete
from include.salesforce.http import http_session

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from simple_salesforce import Salesforce


#: Keys of a connection's extra that hold secrets, besides its password.
SECRETS = ("consumer_secret", "security_token", "private_key")
_OLD_PREFIX = "extra__salesforce__"


def salesforce_client(conn_id: str, *, max_api_usage_percentage: float = 100.0) -> SalesforceClient:
    """A client of the org behind an Airflow connection.

    Each login builds a fresh hook, so that a rotated secret is read again.

    :param conn_id: Airflow connection of type salesforce.
    :param max_api_usage_percentage: share of the org's daily API requests over which nothing goes on.
    """

    def connect() -> Salesforce:
        try:
            return SalesforceHook(salesforce_conn_id=conn_id, session=http_session()).get_conn()
        except AirflowNotFoundException:
            raise ConnectionIncomplete(f"logging in: there is no Airflow connection {conn_id}.") from None

    return SalesforceClient(
        connect, max_api_usage_percentage=max_api_usage_percentage, secrets=partial(salesforce_secrets, conn_id)
    )


def salesforce_secrets(conn_id: str) -> list[str]:
    """What the connection of an org holds that must not be told; nothing, if there is none.

    :param conn_id: Airflow connection of type salesforce.
    """
    try:
        connection = SalesforceHook.get_connection(conn_id)
    except AirflowNotFoundException:
        return []
    extra = connection.extra_dejson
    found = [connection.password, *(extra.get(prefix + key) for key in SECRETS for prefix in ("", _OLD_PREFIX))]
    return [secret for secret in found if isinstance(secret, str)]


def lake_catalog(conn_id: str) -> Catalog:
    """The Iceberg catalog behind an Airflow connection: Glue in the cloud, SQLite on a laptop.

    :param conn_id: Airflow connection of type iceberg; its extra holds pyiceberg's catalog properties.
    """
    return IcebergHook(iceberg_conn_id=conn_id).get_conn()
