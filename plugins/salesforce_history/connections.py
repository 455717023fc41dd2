"""From Airflow's connections to the two clients the pipeline uses. The only place that touches secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook
from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from include.salesforce.client import SalesforceClient
from include.salesforce.errors import ConnectionIncomplete, SalesforceProblem, Unavailable
from include.salesforce.http import http_session
from salesforce_history.stored_login import LoginHook

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog
    from simple_salesforce import Salesforce

    from include.config.environment import Environment


#: Keys of a connection's extra that hold secrets, besides its password.
SECRETS = ("consumer_secret", "security_token", "private_key")
_OLD_PREFIX = "extra__salesforce__"
#: What the hook puts before `.salesforce.com`: an org's own domain leads to its records, a login host to none.
_MY_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_LOGIN_HOSTS = ("login", "test")


def salesforce_client(environment: Environment, *, max_api_usage_percentage: float = 100.0) -> SalesforceClient:
    """A client of the environment's org: by its Airflow connection or, where there is none, by the stored secret.

    Each login builds a fresh hook, so that a rotated secret is read again.

    :param environment: names the connection and the secret.
    :param max_api_usage_percentage: share of the org's daily API requests over which nothing goes on.
    """
    told: set[str] = set()

    def connect() -> Salesforce:
        hook = LoginHook(environment, session=http_session())
        try:
            told.update(_secrets_of(hook))
            return hook.get_conn()
        except AirflowNotFoundException:
            raise _no_connection(environment) from None

    return SalesforceClient(connect, max_api_usage_percentage=max_api_usage_percentage, secrets=lambda: tuple(told))


def salesforce_secrets(environment: Environment) -> list[str]:
    """What the org's login holds that must not be told; nothing, if there is none.

    :param environment: names the connection and the secret.
    """
    try:
        return _secrets_of(LoginHook(environment))
    except (AirflowNotFoundException, SalesforceProblem, Unavailable):
        return []


def salesforce_site(environment: Environment) -> str | None:
    """Where people open the org's records, as its connection says; None where it says nothing that a browser can open.

    :param environment: names the connection.
    """
    try:
        extra = BaseHook.get_connection(environment.salesforce_conn_id).extra_dejson
    except AirflowNotFoundException:
        return None
    domain = extra.get("domain") or extra.get(f"{_OLD_PREFIX}domain") or ""
    if not isinstance(domain, str) or not _MY_DOMAIN.fullmatch(domain) or domain in _LOGIN_HOSTS:
        return None
    return f"https://{domain}.salesforce.com"


def _secrets_of(hook: LoginHook) -> list[str]:
    connection = hook.get_connection(hook.conn_id)
    extra = connection.extra_dejson
    found = [connection.password, *(extra.get(prefix + key) for key in SECRETS for prefix in ("", _OLD_PREFIX))]
    return [secret for secret in found if isinstance(secret, str) and secret]


def _no_connection(environment: Environment) -> ConnectionIncomplete:
    return ConnectionIncomplete(f"logging in: there is no Airflow connection {environment.salesforce_conn_id}.")


def lake_catalog(conn_id: str) -> Catalog:
    """The Iceberg catalog behind an Airflow connection: Glue in the cloud, SQLite on a laptop.

    :param conn_id: Airflow connection of type iceberg; its extra holds pyiceberg's catalog properties.
    """
    return IcebergHook(iceberg_conn_id=conn_id).get_conn()
