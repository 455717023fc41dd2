"""Airflow's own Salesforce hook, through nothing but the values of a Connection."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from local.org.handle import CONNECTION_KINDS, OrgHandle


@pytest.mark.parametrize("kind", CONNECTION_KINDS)
def test_the_hook_reads_the_org(
    filled: OrgHandle, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path_factory.getbasetemp() / "airflow"))
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_ORG", json.dumps(filled.connection(kind)))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(filled.ca_bundle))
    from airflow.providers.salesforce.hooks.salesforce import SalesforceHook

    logging.getLogger("airflow").setLevel(logging.WARNING)
    hook = SalesforceHook("salesforce_org")
    found = hook.make_query("SELECT Id, Name FROM User ORDER BY Id LIMIT 2001")
    assert found["totalSize"] == 2001
    assert {"Division", "Audit_Phase__c"} <= set(hook.get_available_fields("User"))
    assert hook.get_object_from_salesforce("Account", ["Id", "IsDeleted"])["totalSize"] == 11
    assert Path(filled.ca_bundle).is_file()
