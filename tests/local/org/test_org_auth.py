"""Every way to log in, and every way to be refused."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed, SalesforceExpiredSession

from local.org.api_auth import JWT_GRANT
from local.org.handle import OrgHandle, OrgRefused
from tests.local.org.conftest import trusting


def sign_in(org: OrgHandle, **given: Any) -> Salesforce:
    return Salesforce(session=trusting(org), domain=org.domain, **given)


def works(client: Salesforce) -> bool:
    return client.query("SELECT count() FROM User")["done"] is True


def test_client_credentials(org: OrgHandle) -> None:
    who = org.credentials
    assert works(sign_in(org, consumer_key=who.consumer_key, consumer_secret=who.consumer_secret))


def test_username_password_and_token_by_soap(org: OrgHandle) -> None:
    who = org.credentials
    client = sign_in(org, username=who.username, password=who.password, security_token=who.security_token)
    assert client.auth_type == "password"
    assert works(client)


def test_username_and_password_from_a_trusted_network(org: OrgHandle) -> None:
    who = org.credentials
    assert works(sign_in(org, username=who.username, password=who.password, organizationId=who.org_id))


def test_username_and_password_by_oauth(org: OrgHandle) -> None:
    who = org.credentials
    client = sign_in(
        org,
        username=who.username,
        password=who.password + who.security_token,
        consumer_key=who.consumer_key,
        consumer_secret=who.consumer_secret,
    )
    assert works(client)


def test_jwt_bearer(org: OrgHandle) -> None:
    who = org.credentials
    client = sign_in(org, username=who.username, consumer_key=who.consumer_key, privatekey_file=str(org.home.app_key))
    assert works(client)


REFUSALS: dict[str, tuple[dict[str, Any], str, str]] = {
    "wrong secret": ({"consumer_secret": "x"}, "invalid_client", "invalid client credentials"),
    "wrong key": ({"consumer_key": "x"}, "invalid_client_id", "client identifier invalid"),
    "wrong password": (
        {"username": ..., "password": "x", "security_token": ...},
        "INVALID_LOGIN",
        "Invalid username, password, security token; or user locked out.",
    ),
    "wrong token": ({"username": ..., "password": ..., "security_token": "x"}, "INVALID_LOGIN", "security token"),
    "unknown user": ({"username": "x", "password": ..., "security_token": ...}, "INVALID_LOGIN", "Invalid username"),
    "another org": ({"username": ..., "password": ..., "organizationId": "00D000000000001"}, "INVALID_LOGIN", "user"),
    "soap login is retired": (
        {"username": ..., "password": ..., "security_token": ..., "version": "65.0"},
        "UNSUPPORTED_API_VERSION",
        "use OAuth",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(org: OrgHandle, case: str) -> None:
    given, code, message = REFUSALS[case]
    who = org.credentials
    if "username" not in given:
        given = {"consumer_key": who.consumer_key, "consumer_secret": who.consumer_secret, **given}
    given = {key: getattr(who, key) if value is ... else value for key, value in given.items()}
    with pytest.raises(SalesforceAuthenticationFailed) as caught:
        sign_in(org, **given)
    assert str(caught.value.code).removeprefix("sf:") == code
    assert message in caught.value.auth_message


def claims(org: OrgHandle, **changes: Any) -> dict[str, Any]:
    who = org.credentials
    audience = f"https://{org.domain}.salesforce.com"
    return {"iss": who.consumer_key, "sub": who.username, "aud": audience, "exp": int(time.time()) + 60, **changes}


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"aud": "https://login.salesforce.com"}, "invalid_grant", "audience is invalid"),
        ({"exp": 1000}, "invalid_grant", "expired"),
        ({"iss": "someone"}, "invalid_client_id", "client identifier invalid"),
        ({"sub": "someone"}, "invalid_grant", "user hasn't approved this consumer"),
    ],
)
def test_a_jwt_that_does_not_fit_is_refused(
    org: OrgHandle, changes: dict[str, Any], error: str, description: str
) -> None:
    assertion = jwt.encode(claims(org, **changes), org.home.app_key.read_bytes(), algorithm="RS256")
    answer = post_token(org, {"grant_type": JWT_GRANT, "assertion": assertion})
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert description in answer.json()["error_description"]


def test_a_jwt_signed_by_another_key_or_unsigned_is_refused(org: OrgHandle) -> None:
    signed = jwt.encode(claims(org), "a secret of thirty-two characters", algorithm="HS256")
    unsigned = jwt.encode(claims(org), None, algorithm="none")
    for assertion in (signed, unsigned, "not.a.jwt", ""):
        answer = post_token(org, {"grant_type": JWT_GRANT, "assertion": assertion})
        assert answer.json() == {"error": "invalid_grant", "error_description": "invalid assertion"}


def post_token(org: OrgHandle, form: dict[str, str]) -> requests.Response:
    return trusting(org).post(f"https://{org.domain}.salesforce.com/services/oauth2/token", form, timeout=30)


def test_an_unknown_grant_is_refused(org: OrgHandle) -> None:
    assert post_token(org, {"grant_type": "x"}).json()["error"] == "unsupported_grant_type"


def test_the_answer_has_the_shape_of_a_real_one(org: OrgHandle, groundtruth: Any) -> None:
    who = org.credentials
    form = {
        "grant_type": "client_credentials",
        "client_id": who.consumer_key,
        "client_secret": who.consumer_secret,
    }
    answer = post_token(org, form).json()
    real = json.loads((groundtruth / "responses" / "auth_success_response.json").read_text())
    assert set(real) <= set(answer)
    assert answer["instance_url"] == org.url
    assert answer["id"].endswith(f"/id/{org.org_id}/{who.user_id}")
    refused = json.loads((groundtruth / "responses" / "auth_error_response.json").read_text())
    assert set(post_token(org, {**form, "client_secret": "x"}).json()) == set(refused)


def test_an_expired_or_foreign_session_is_told_so(org: OrgHandle) -> None:
    who = org.credentials
    client = sign_in(org, consumer_key=who.consumer_key, consumer_secret=who.consumer_secret)
    url = f"{client.base_url}query/?q=SELECT+count()+FROM+User"
    assert org.expire_sessions() >= 1
    for headers in ({"Authorization": f"Bearer {client.session_id}"}, {"Authorization": "Bearer x"}, {}):
        answer = trusting(org).get(url, headers=headers, timeout=30)
        assert answer.status_code == 401
        assert answer.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    assert works(client), "simple-salesforce logs in again"
    org.expire_sessions()
    with pytest.raises(SalesforceExpiredSession):
        client.bulk2.User._client.create_job("query", "SELECT Id FROM User")


def test_the_control_api_wants_its_token(org: OrgHandle) -> None:
    for headers in ({}, {"X-Sim-Control-Token": "x"}):
        for method, path in (("GET", "clock"), ("POST", "events")):
            answer = trusting(org).request(method, f"{org.url}/sim-control/{path}", headers=headers, timeout=30)
            assert answer.status_code == 403
    with pytest.raises(OrgRefused, match="used"):
        org.set_limits(used=-1)
    with pytest.raises(OrgRefused, match="allowed are add, alter, remove, hide, show"):
        org.change_schema("drop", "User", {"name": "Division"})


def test_connections_are_of_known_kinds_and_the_clock_needs_a_zone(org: OrgHandle) -> None:
    with pytest.raises(ValueError, match="allowed are client_credentials, password, jwt"):
        org.connection("kerberos")
    with pytest.raises(ValueError, match="no time zone"):
        org.set_clock(datetime(2026, 1, 5))
    org.set_clock(datetime(2026, 1, 5, 1, 2, 3, 999, tzinfo=UTC))
    assert org.clock == datetime(2026, 1, 5, 1, 2, 3, tzinfo=UTC)
