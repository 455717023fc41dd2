"""Airflow on a laptop: its home folder, its settings as environment variables, its database and pools.

Everything lives under `.local/` in the project. The settings are handed over as environment variables, before Airflow
is imported, because Airflow reads them while it is imported.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from local.airflow_database import connect_args
from local.dbt_docs import docs_setting
from local.org.handle import OrgHandle

PROJECT = Path(__file__).resolve().parent.parent


class AirflowHome:
    """The folder of one laptop Airflow.

    :param root: `.local` of the project, or a test's folder; `airflow/`, `lake/`, `org/` and `logs/` live in it.
    :param project: the project whose dags, plugins, include and dbt are run.
    """

    def __init__(self, root: Path, *, project: Path = PROJECT) -> None:
        self.root = root.resolve()
        self.project = project
        self.folder = self.root / "airflow"
        self.lake = self.root / "lake"
        self.org = self.root / "org"
        self.logs = self.root / "logs"

    def variables(self, org: OrgHandle, *, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Environment variables that make Airflow, the pipeline and dbt use this folder and this org.

        Besides these two connections nothing tells the pipeline that the org is a simulated one.

        :param org: the running simulated org.
        :param extra: more of them, which win.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lake.mkdir(parents=True, exist_ok=True)
        iceberg = {
            "conn_type": "iceberg",
            "extra": {
                "type": "sql",
                "uri": f"sqlite:///{self.lake}/catalog.db",
                "warehouse": f"file://{self.lake}/warehouse",
            },
        }
        return {
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.project / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.project / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            # A worker whose task has ended can wait for its process for as long as this, because Airflow's supervisor
            # does not look again before the next heartbeat; 5 s by default, which was a third of a run.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            # Two at work, and two that may have ended while their workers still wait.
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            # Between two tasks the scheduler sleeps, a second by default: with thirty tasks a run, half a minute of it.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.folder}/airflow.db",
            **connect_args(),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.folder / "logs"),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
            "AIRFLOW__COSMOS__CACHE_DIR": str(self.folder / "cosmos"),
            "AIRFLOW__COSMOS__DBT_DOCS_PROJECTS": docs_setting(self.project / "dbt" / "target"),
            "AIRFLOW_CONN_SALESFORCE_DEFAULT": json.dumps(org.connection()),
            "AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps(iceberg),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
            "PYTHONPATH": os.pathsep.join([str(self.project), str(self.project / "plugins")]),
            "REQUESTS_CA_BUNDLE": str(org.ca_bundle),
            "CURL_CA_BUNDLE": str(org.ca_bundle),
            "SF_HISTORY_ENV": "local",
            "SF_HISTORY_LAKE": str(self.lake),
            "SF_HISTORY_RETRY_DELAY_SECONDS": "3",
            "SF_HISTORY_TURN_RECHECK_SECONDS": "2",
            **(extra or {}),
        }

    def prepare(self, variables: Mapping[str, str], *, fresh: bool) -> None:
        """Have a migrated database with the pools of airflow_settings.yaml.

        The first migration takes some seconds; later fresh databases are copies of that first one. A database that
        began with other pools, or with an older Airflow, is brought up to date and keeps its runs.

        :param variables: from `variables()`.
        :param fresh: start from an empty database, without the runs of earlier calls.
        """
        pools = self._pools()
        made_of = hashlib.sha256(pools.encode()).hexdigest()[:12]
        database = self.folder / "airflow.db"
        pristine = self.folder / f"pristine-{_airflow_version()}-{made_of}.db"
        keep = database.exists() and not fresh
        if not pristine.exists():
            if not keep:
                self._remove(database)
            self._airflow(variables, "db", "migrate")
            self._import_pools(variables, pools)
            if not keep:
                partial = pristine.with_suffix(".partial")
                shutil.copyfile(database, partial)
                partial.replace(pristine)
        elif not keep:
            self._remove(database)
            shutil.copyfile(pristine, database)

    def _remove(self, database: Path) -> None:
        for part in self.folder.glob(f"{database.name}*"):
            part.unlink()

    def _pools(self) -> str:
        settings = yaml.safe_load((self.project / "airflow_settings.yaml").read_text(encoding="utf-8"))
        pools: dict[str, Any] = {
            pool["pool_name"]: {
                "slots": pool["pool_slot"],
                "description": pool["pool_description"],
                "include_deferred": False,
            }
            for pool in settings["airflow"]["pools"]
        }
        return json.dumps(pools, sort_keys=True)

    def _import_pools(self, variables: Mapping[str, str], pools: str) -> None:
        path = self.folder / "pools.json"
        path.write_text(pools, encoding="utf-8")
        self._airflow(variables, "pools", "import", str(path))

    def _airflow(self, variables: Mapping[str, str], *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env={**os.environ, **variables},
            cwd=self.project,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")


def _airflow_version() -> str:
    from importlib.metadata import version

    return version("apache-airflow-core")
