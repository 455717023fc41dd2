"""How many users Salesforce itself counts: one login and one query, from wherever `deploy verify` runs."""

from __future__ import annotations

from typing import Any

from simple_salesforce import Salesforce

from deploy.account import Account
from deploy.credentials import UNSEEN, stored_login
from deploy.problem import DeployFailed
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import SalesforceProblem
from include.salesforce.http import http_session
from include.salesforce.secret import parse_login


def count_users(account: Account, secret: str) -> int:
    """Count the users that the integration user sees.

    :param account: where the secret is.
    :param secret: its name or ARN.
    :raises DeployFailed: when the login or the query is refused; without a value of the secret.
    """
    text = stored_login(account, secret)
    if text is None:
        raise DeployFailed(f"there is no usable login under {secret}.", "make deploy ENV=… asks for it.")
    if text == UNSEEN:
        raise DeployFailed(
            f"this identity may not do secretsmanager:GetSecretValue on {secret}.",
            "Count as somebody who may, or leave --salesforce out.",
        )
    login = parse_login(text, where=f"the secret {secret}")

    def connect() -> Salesforce:
        values: dict[str, Any] = {"username": login.login, "password": login.password, **login.extra}
        return Salesforce(session=http_session(), **values)

    try:
        return SalesforceClient(connect, secrets=lambda: login.secrets).count(
            "SELECT count() FROM User", include_deleted=False, what="counting users"
        )
    except SalesforceProblem as problem:
        raise DeployFailed(f"Salesforce: {problem.what}", problem.remedy) from None
