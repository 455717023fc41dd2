"""The login of an org: an Airflow connection or, where there is none, the secret that AWS Secrets Manager holds.

Airflow's own backend for Secrets Manager cannot read that secret: of its keys it would drop security_token and domain.
"""

from __future__ import annotations

import json
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.salesforce.hooks.salesforce import SalesforceHook
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret
from simple_salesforce import Salesforce
from simple_salesforce.api import DEFAULT_API_VERSION

from include.salesforce.errors import ConnectionIncomplete, Unavailable
from include.salesforce.secret import StoredLogin, parse_login

if TYPE_CHECKING:
    from requests import Session

    from include.config.environment import Environment

log = logging.getLogger(__name__)

_ABSENT = "ResourceNotFoundException"
_PASSING = ("ThrottlingException", "TooManyRequestsException", "InternalServiceError", "ServiceUnavailable")
_CONNECT_SECONDS, _READ_SECONDS, _ATTEMPTS = 5, 10, 3


class LoginHook(SalesforceHook):
    """SalesforceHook of an environment's org. It holds one login: make another to read a rotated secret.

    :param environment: names the Airflow connection, and the secret that stands in for it.
    :param session: for requests to Salesforce.
    """

    def __init__(self, environment: Environment, *, session: Session | None = None) -> None:
        super().__init__(salesforce_conn_id=environment.salesforce_conn_id, session=session)
        self._environment = environment
        self._found: Connection | None = None
        self._from_secret = False

    def get_connection(self, conn_id: str) -> Connection:  # type: ignore[override]
        """The connection, or what the secret makes of it.

        :param conn_id: Airflow connection.
        :raises AirflowNotFoundException: when there is none, and the environment names no secret.
        :raises ConnectionIncomplete: when the secret is not there or does not hold a login.
        :raises Unavailable: when Secrets Manager does not answer.
        """
        if self._found is None:
            try:
                self._found = SalesforceHook.get_connection(conn_id)
            except AirflowNotFoundException:
                if not self._environment.salesforce_secret:
                    raise
                self._found = _connection(conn_id, read_secret(self._environment))
                self._from_secret = True
        return self._found

    @cached_property
    def conn(self) -> Salesforce:
        """The session. SalesforceHook takes an empty security token for none, and then knows no way to log in."""
        connection = self.get_connection(self.conn_id)
        extra = connection.extra_dejson
        if not self._from_secret or extra.get("security_token") != "":
            return super().conn
        return Salesforce(
            username=connection.login,
            password=connection.password,
            security_token="",
            domain=extra["domain"],
            version=extra.get("version") or DEFAULT_API_VERSION,
            session=self.session,
        )


def read_secret(environment: Environment) -> StoredLogin:
    """The login in Secrets Manager, read now. Its values are masked in Airflow's logs from here on.

    :param environment: names the secret and the AWS connection.
    :raises ConnectionIncomplete: when it is not there, may not be read, or does not hold a login.
    :raises Unavailable: when Secrets Manager does not answer.
    """
    name = environment.salesforce_secret
    login = parse_login(_secret_text(environment), where=f"the secret {name}")
    for secret in login.secrets:
        mask_secret(secret)
    log.info("logging in with the secret %s: there is no Airflow connection %s", name, environment.salesforce_conn_id)
    return login


def _connection(conn_id: str, login: StoredLogin) -> Connection:
    return Connection(
        conn_id=conn_id,
        conn_type=SalesforceHook.conn_type,
        login=login.login,
        password=login.password,
        extra=json.dumps(login.extra),
    )


def _secret_text(environment: Environment) -> str:
    # Not at the top: whoever parses DAGs, or logs in by a connection, need not wait for boto3.
    from airflow.providers.amazon.aws.hooks.secrets_manager import SecretsManagerHook
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    patience = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
    )
    try:
        hook: Any = SecretsManagerHook(aws_conn_id=environment.aws_conn_id, config=patience)
        found = hook.get_secret(environment.salesforce_secret)
    except ClientError as error:
        raise _refused(environment, str(error.response.get("Error", {}).get("Code", "")) or "an error") from None
    except (NoCredentialsError, NoRegionError) as error:
        raise _refused(environment, type(error).__name__) from None
    except BotoCoreError as error:
        raise Unavailable(f"logging in: Secrets Manager does not answer ({type(error).__name__}).") from None
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found)


def _refused(environment: Environment, code: str) -> Exception:
    name = environment.salesforce_secret
    if code in _PASSING:
        return Unavailable(f"logging in: Secrets Manager answered {code} for the secret {name}.")
    if code == _ABSENT:
        return ConnectionIncomplete(
            f"logging in: there is neither an Airflow connection {environment.salesforce_conn_id} nor a value under "
            f"the secret {name}.",
            remedy=f"Store the login with `make deploy ENV={environment.name}`, or put it under that name in the AWS "
            "console. SF_HISTORY_SALESFORCE_SECRET names another secret.",
        )
    return ConnectionIncomplete(
        f"logging in: Secrets Manager answered {code} for the secret {name}.",
        remedy="Give the worker's role (or the Airflow connection "
        f"{environment.aws_conn_id}) secretsmanager:GetSecretValue on it and kms:Decrypt on its key, in its region.",
    )
