"""A login as Secrets Manager holds it: both shapes, every spelling of a domain, and what is said of a wrong one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.salesforce.errors import ConnectionIncomplete
from include.salesforce.secret import normalised_domain, parse_login

WHERE = "the secret salesforce/production/credentials"
PASSWORD = {"username": "ada@example.com", "password": "planted-1", "security_token": "planted-2", "domain": "login"}
CLIENT = {"consumer_key": "planted-3", "consumer_secret": "planted-4", "domain": "mycompany.my.salesforce.com"}


def test_the_format_that_exists_is_read_as_it_is() -> None:
    login = parse_login(json.dumps(PASSWORD), where=WHERE)
    assert (login.login, login.password) == ("ada@example.com", "planted-1")
    assert login.extra == {"security_token": "planted-2", "domain": "login"}
    assert login.secrets == ("planted-1", "planted-2")
    assert "planted" not in repr(login)


def test_an_org_that_trusts_addresses_has_no_token() -> None:
    login = parse_login(json.dumps({**PASSWORD, "security_token": " "}), where=WHERE)
    assert login.extra == {"security_token": "", "domain": "login"}
    assert login.secrets == ("planted-1",)


def test_client_credentials_are_read() -> None:
    login = parse_login(json.dumps({**CLIENT, "version": "61.0"}), where=WHERE)
    assert (login.login, login.password) == (None, None)
    assert login.extra == {
        "consumer_key": "planted-3",
        "consumer_secret": "planted-4",
        "domain": "mycompany.my",
        "version": "61.0",
    }
    assert login.secrets == ("planted-4",)


@pytest.mark.parametrize(
    ("given", "domain"),
    [
        ("login", "login"),
        ("login.salesforce.com", "login"),
        (" HTTPS://Login.Salesforce.com/ ", "login"),
        ("test", "test"),
        ("test.salesforce.com", "test"),
        ("mycompany.my.salesforce.com", "mycompany.my"),
        ("mycompany.my", "mycompany.my"),
        ("https://mycompany--uat.sandbox.my.salesforce.com/", "mycompany--uat.sandbox.my"),
        ("127.0.0.1:18443/sim", "127.0.0.1:18443/sim"),
    ],
)
def test_a_domain_has_many_spellings(given: str, domain: str) -> None:
    assert normalised_domain(given, where=WHERE) == domain


@pytest.mark.parametrize(
    "given",
    [
        "mycompany",
        "mycompany.lightning.force.com",
        "evil.example.com/login",
        "evil.example.com#.my",
        "evil.example.com/.my",
        "a@b.my",
        "127.0.0.1.evil.example.com:1/sim",
        "10.0.0.1:1/sim",
        "127.0.0.1:99999/sim",
        "127.0.0.1:0/sim",
        "",
    ],
)
def test_no_login_is_sent_elsewhere(given: str) -> None:
    with pytest.raises(ConnectionIncomplete, match="allowed are login"):
        normalised_domain(given, where=WHERE)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("planted-1", "is not JSON"),
        ("[]", "is not a JSON object"),
        pytest.param("[" * 60_000, "is not JSON", id="brackets in brackets"),
        (
            {**PASSWORD, "password": "planted-1\ud800"},
            "has half a character (a lone surrogate) under the key 'password'",
        ),
        ({}, "lacks the keys 'username', 'password', 'security_token', 'domain' of"),
        ({**PASSWORD, "security_token": None}, "has no text under the key 'security_token'"),
        ({**PASSWORD, "password": " "}, "has no text under the key 'password'"),
        ({key: PASSWORD[key] for key in ("username", "password", "domain")}, "lacks the key 'security_token' of"),
        ({**PASSWORD, "token": "planted-9"}, "has the key 'token', which does not belong to"),
        ({**PASSWORD, "planted-9!": "x"}, "has the key one that is no word"),
        ({**PASSWORD, "consumer_key": "planted-3"}, "has the keys 'password', 'security_token', 'username'"),
        ({**PASSWORD, "domain": "planted-5.example.com"}, "has no domain that is known under the key 'domain'"),
        ({"consumer_key": "planted-3", "domain": "x.my"}, "lacks the key 'consumer_secret'"),
        ({**CLIENT, "domain": "login.salesforce.com"}, "My Domain"),
        ({**CLIENT, "version": "planted-6"}, "no API version under the key 'version'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_named_and_not_shown(value: Any, says: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    with pytest.raises(ConnectionIncomplete) as refused:
        parse_login(text, where=WHERE)
    assert says in str(refused.value)
    assert WHERE in str(refused.value)
    assert "make deploy" in str(refused.value)
    assert "planted" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
