"""dbt-duckdb plugin: the Iceberg tables of the lake folder, attached as database `lake`.

Named in dbt/profiles.yml, target `local`. The REST endpoint runs inside the dbt process, once for each lake, and lives
as long as the process does, so repeated dbt calls find it there.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from dbt.adapters.duckdb.credentials import DuckDBCredentials
from dbt.adapters.duckdb.plugins import BasePlugin
from duckdb import DuckDBPyConnection

from local.lake.catalog import LakeFolder, lake_folder
from local.lake.extensions import CONNECTION_CONFIG, load_extensions
from local.lake.rest_catalog import RestCatalogServer

#: Name under which the Iceberg tables are attached; models and sources say `database: lake`.
DATABASE = "lake"

#: The process is part of the key: a forked child (Airflow's LocalExecutor forks) inherits this dictionary, but not the
#: thread that answers.
_servers: dict[tuple[int, LakeFolder], RestCatalogServer] = {}
_lock = threading.Lock()
os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


class Plugin(BasePlugin):
    """Attaches the lake to every connection that dbt opens.

    Config key `lake`: the lake folder; default: the environment variable SF_HISTORY_LAKE.
    """

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Remember the lake; nothing is started before a connection is opened."""
        self._lake = lake_folder(plugin_config.get("lake"))
        self._lake.path.mkdir(parents=True, exist_ok=True)

    def update_connection_config(self, creds: DuckDBCredentials, config: dict[str, Any]) -> None:
        """Open the database as the extensions want it."""
        config.update(CONNECTION_CONFIG)

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Load the Iceberg extension and attach the catalog."""
        load_extensions(conn, self._lake.extension_folder)
        # Everything is UTC; DuckDB would otherwise show and cast timestamps in the laptop's zone.
        conn.execute("SET GLOBAL TimeZone = 'UTC'")
        attach_lake(conn, self._lake)


def attach_lake(connection: DuckDBPyConnection, lake: LakeFolder) -> None:
    """Attach the Iceberg tables of a lake for reading and writing, as database `lake`.

    :param connection: has the iceberg extension loaded.
    :param lake: the lake folder; its endpoint is started if this process has none yet.
    """
    connection.execute(
        f"ATTACH IF NOT EXISTS '' AS {DATABASE} (TYPE iceberg, ENDPOINT '{_server(lake).url}', "
        "AUTHORIZATION_TYPE 'none', ACCESS_DELEGATION_MODE 'none')"
    )


def _server(lake: LakeFolder) -> RestCatalogServer:
    with _lock:
        key = (os.getpid(), lake)
        if key not in _servers:
            server = RestCatalogServer(catalog=lake.open_catalog())
            server.serve_in_background()
            _servers[key] = server
        return _servers[key]
