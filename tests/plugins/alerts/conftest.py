"""What the tests of the alerts share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyiceberg.catalog import Catalog

from local.lake.catalog import lake_folder
from salesforce_history import noting
from tests.plugins.alerts.world import World


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """An empty lake behind the Airflow connection."""
    lake = tmp_path / "lake"
    (lake / "warehouse").mkdir(parents=True)
    iceberg = {"type": "sql", "uri": f"sqlite:///{lake}/catalog.db", "warehouse": f"file://{lake}/warehouse"}
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": iceberg}))
    monkeypatch.setenv("SF_HISTORY_LAKE", str(lake))
    return lake_folder(lake).open_catalog()


@pytest.fixture
def world(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> World:
    # What an earlier test's process has noted is not of this one's runs, which have the same ids.
    monkeypatch.setattr(noting, "_noted_here", {})
    return World(catalog)


@pytest.fixture
def no_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection leads to a catalog that is not there."""
    gone = {"type": "sql", "uri": f"sqlite:///{tmp_path}/nowhere/catalog.db", "warehouse": f"file://{tmp_path}"}
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": gone}))
