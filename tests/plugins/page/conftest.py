"""The page's application in this process: its lake is a real one, and who asks is let in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from starlette.testclient import TestClient

from salesforce_history.page import app
from salesforce_history.page.lakes import lakes
from tests.include.page.lakes import catalog_in


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SqlCatalog:
    """An empty lake behind Airflow's connection."""
    folder = tmp_path / "lake"
    extra = {"type": "sql", "uri": f"sqlite:///{folder}/catalog.db", "warehouse": f"file://{folder}/warehouse"}
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": extra}))
    monkeypatch.setenv("AIRFLOW_CONN_SALESFORCE_DEFAULT", json.dumps({"conn_type": "salesforce", "extra": {}}))
    return catalog_in(folder)


@pytest.fixture
def client(catalog: SqlCatalog) -> Iterator[TestClient]:
    """Whoever asks has a session; test_page_served.py is about those who have none."""
    lakes.cache_clear()
    page = app.make_page()
    page.dependency_overrides[app.signed_in] = lambda: None
    yield TestClient(page, root_path="/below/salesforce-history", raise_server_exceptions=False)
    lakes.cache_clear()
