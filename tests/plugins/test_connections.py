"""What a person reads whose Salesforce connection is missing, or lacks half of a login."""

from __future__ import annotations

import json
from typing import Any

import pytest

from include.salesforce.errors import ConnectionIncomplete
from salesforce_history.connections import salesforce_client

VARIABLE = "AIRFLOW_CONN_SALESFORCE_DEFAULT"


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
        salesforce_client("salesforce_default").clock()
    assert "planted-secret" not in str(refused.value)


def test_a_connection_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ConnectionIncomplete, match="no Airflow connection salesforce_default"):
        salesforce_client("salesforce_default").clock()
