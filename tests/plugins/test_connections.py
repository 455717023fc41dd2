"""What a person reads whose Salesforce connection is missing or lacks half of a login; logins by a stored secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from airflow.sdk._shared.secrets_masker import _secrets_masker, redact

from include.config.environment import Environment, current_environment
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import ConnectionIncomplete, CredentialsRefused
from local.cloud.aws import Aws, start_aws
from local.org.handle import OrgHandle, start_org
from salesforce_history.connections import salesforce_client, salesforce_secrets

VARIABLE = "AIRFLOW_CONN_SALESFORCE_DEFAULT"
SECRET = "salesforce/development/credentials"
DEVELOPMENT = {"SF_HISTORY_ENV": "development"}


@pytest.mark.parametrize(
    "connection",
    [
        {"conn_type": "salesforce"},
        {"conn_type": "http"},
        {"conn_type": "salesforce", "login": "a", "password": "planted-secret"},
        {"conn_type": "salesforce", "extra": {"consumer_key": "planted-secret"}},
    ],
    ids=str,
)
def test_half_a_login_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch, connection: dict[str, Any]) -> None:
    monkeypatch.setenv(VARIABLE, json.dumps(connection))
    with pytest.raises(ConnectionIncomplete, match="consumer_key and consumer_secret") as refused:
        salesforce_client(current_environment({})).clock()
    assert "planted-secret" not in str(refused.value)


def test_a_connection_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ConnectionIncomplete, match="no Airflow connection salesforce_default"):
        salesforce_client(current_environment({})).clock()


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with start_aws() as running:
        yield running


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrgHandle]:
    with start_org(tmp_path_factory.mktemp("org")) as running:
        yield running


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, aws: Aws, org: OrgHandle) -> Iterator[Any]:
    """Secrets Manager, empty; Airflow finds it and the org, and has no connection to Salesforce."""
    for name, value in aws.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(org.ca_bundle))
    monkeypatch.delenv(VARIABLE, raising=False)
    client = boto3.client("secretsmanager", **{"region_name": "us-east-1"})
    yield client
    for secret in client.list_secrets()["SecretList"]:
        client.delete_secret(SecretId=secret["ARN"], ForceDeleteWithoutRecovery=True)


def environment(**variables: str) -> Environment:
    return current_environment({**DEVELOPMENT, **variables})


def client_of(variables: dict[str, str] | None = None) -> SalesforceClient:
    return salesforce_client(environment(**(variables or {})))


def existing_secret(org: OrgHandle) -> dict[str, str]:
    who = org.credentials
    return {
        "username": who.username,
        "password": who.password,
        "security_token": who.security_token,
        "domain": f"{org.domain}.salesforce.com",
    }


def test_the_secret_that_exists_logs_in(vault: Any, org: OrgHandle, caplog: pytest.LogCaptureFixture) -> None:
    vault.create_secret(Name=SECRET, SecretString=json.dumps(existing_secret(org)))
    client = client_of()
    with caplog.at_level(logging.INFO):
        assert client.org_id == org.org_id
        client._login.forget()
        client.clock()
    warnings = [record.message for record in caplog.records if "retires the SOAP login" in record.message]
    assert len(warnings) == 1, "once, however often the run logs in"
    for secret in (org.credentials.password, org.credentials.security_token):
        assert secret not in caplog.text
        assert redact(f"a log line with {secret} in it") == "a log line with *** in it"
        assert client.hide(f"an answer with {secret} in it") == "an answer with *** in it"
    assert set(salesforce_secrets(environment())) == {org.credentials.password, org.credentials.security_token}


def test_an_org_that_trusts_our_addresses_has_no_token(vault: Any, org: OrgHandle) -> None:
    who = org.credentials
    # Salesforce is sent the password and the token in one word.
    login = {**existing_secret(org), "password": who.password + who.security_token, "security_token": ""}
    vault.create_secret(Name=SECRET, SecretString=json.dumps(login))
    client = client_of()
    assert client.org_id == org.org_id
    assert client.hide("an answer with nothing secret") == "an answer with nothing secret"
    assert salesforce_secrets(environment()) == [login["password"]]


def test_client_credentials_log_in_and_another_secret_can_be_named(vault: Any, org: OrgHandle) -> None:
    login = {
        "consumer_key": org.credentials.consumer_key,
        "consumer_secret": org.credentials.consumer_secret,
        "domain": org.domain,
    }
    arn = vault.create_secret(Name="another", SecretString=json.dumps(login))["ARN"]
    assert client_of({"SF_HISTORY_SALESFORCE_SECRET": "another"}).org_id == org.org_id
    assert client_of({"SF_HISTORY_SALESFORCE_SECRET": arn}).org_id == org.org_id
    assert redact(org.credentials.consumer_secret) == "***"


def test_an_airflow_connection_comes_first(vault: Any, org: OrgHandle, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.create_secret(Name=SECRET, SecretString="nothing that is read")
    monkeypatch.setenv(VARIABLE, json.dumps(org.connection()))
    assert client_of().org_id == org.org_id


def test_a_rotated_secret_is_read_at_the_next_login(vault: Any, org: OrgHandle) -> None:
    vault.create_secret(Name=SECRET, SecretString=json.dumps({**existing_secret(org), "password": "planted-secret"}))
    client = client_of()
    with pytest.raises(CredentialsRefused) as refused:
        client.clock()
    assert "planted-secret" not in str(refused.value)
    vault.put_secret_value(SecretId=SECRET, SecretString=json.dumps(existing_secret(org)))
    client.clock()
    hidden = f"planted-secret {org.credentials.password}"
    assert client.hide(hidden) == "*** ***", "both that it was and that it is"


def test_neither_a_connection_nor_a_secret(vault: Any) -> None:
    with pytest.raises(ConnectionIncomplete) as refused:
        client_of().clock()
    assert str(refused.value) == (
        "logging in: there is neither an Airflow connection salesforce_default nor a value under the secret "
        "salesforce/development/credentials. Store the login with `make deploy ENV=development`, or put it under that "
        "name in the AWS console. SF_HISTORY_SALESFORCE_SECRET names another secret."
    )


@pytest.mark.parametrize("value", ["planted-secret", '{"password": "planted-secret"}'])
def test_a_secret_of_another_shape_is_named_and_not_shown(vault: Any, value: str) -> None:
    vault.create_secret(Name=SECRET, SecretString=value)
    with pytest.raises(ConnectionIncomplete, match=f"the secret {SECRET}") as refused:
        client_of().clock()
    assert "planted-secret" not in str(refused.value)
    assert salesforce_secrets(environment()) == [], "what cannot be read stops no alert"


def test_a_secret_that_is_to_be_deleted_is_refused_with_what_to_do(vault: Any) -> None:
    vault.create_secret(Name=SECRET, SecretString="planted-secret")
    vault.delete_secret(SecretId=SECRET)
    with pytest.raises(ConnectionIncomplete, match=r"InvalidRequestException.*secretsmanager:GetSecretValue"):
        client_of().clock()


@pytest.fixture(autouse=True)
def _forget_masks() -> Iterator[None]:
    masker = _secrets_masker()
    masker.reset_masker()
    yield
    masker.reset_masker()
