"""A laptop has the pools that its tasks are in, those of a later release too; the docs say how others make them."""

from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from include.config.environment import current_environment
from local.airflow_home import PROJECT, AirflowHome

pytestmark = pytest.mark.scheduler


def declared() -> dict[str, int]:
    settings = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text(encoding="utf-8"))
    return {pool["pool_name"]: pool["pool_slot"] for pool in settings["airflow"]["pools"]}


def documented() -> list[list[str]]:
    """The commands of the docs, without `airflow`."""
    lines = (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("    airflow pools set ")]


def pools(home: AirflowHome) -> dict[str, int]:
    with sqlite3.connect(home.folder / "airflow.db") as database:
        return dict(database.execute("select pool, slots from slot_pool where pool != 'default_pool'").fetchall())


def test_the_docs_make_the_pools_of_the_cloud() -> None:
    needed = {current_environment({"SF_HISTORY_ENV": "production"}).dbt_pool}
    needed.add(current_environment({"SF_HISTORY_ENV": "production"}).salesforce_pool)
    assert {command[2]: int(command[3]) for command in documented()} == {name: declared()[name] for name in needed}
    local = current_environment({})
    assert {local.dbt_pool, local.salesforce_pool} <= set(declared())


def test_a_database_follows_the_pools_and_keeps_its_runs(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    settings = project / "airflow_settings.yaml"
    settings.write_text("airflow: {pools: [{pool_name: old, pool_slot: 3, pool_description: one}]}")
    home = AirflowHome(tmp_path / "root", project=project)
    home.folder.mkdir(parents=True)
    variables = {
        "AIRFLOW_HOME": str(home.folder),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.folder}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(PROJECT),
    }
    home.prepare(variables, fresh=True)
    assert pools(home) == {"old": 3}
    for command in documented():
        arguments = [sys.executable, "-m", "airflow", *command]
        subprocess.run(arguments, env={**os.environ, **variables}, check=True, capture_output=True)
    assert pools(home) == {"old": 3, "salesforce": 2, "athena": 4}

    # A later release has other pools. What was there stays, as the runs do.
    settings.write_text("airflow: {pools: [{pool_name: new, pool_slot: 1, pool_description: two}]}")
    home.prepare(variables, fresh=False)
    assert pools(home) == {"old": 3, "salesforce": 2, "athena": 4, "new": 1}

    # A fresh database is made of the new ones only, and kept to be copied.
    home.prepare(variables, fresh=True)
    assert pools(home) == {"new": 1}
    assert len(list(home.folder.glob("pristine-*.db"))) == 2
