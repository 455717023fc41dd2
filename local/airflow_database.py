"""Airflow's SQLite on a laptop: who comes second waits, and is not refused.

Airflow's processes share one file. SQLite lets one of them write at a time and the others wait, but a transaction that
began by reading may not wait: once another one has written, it is refused at its first write, at once and whatever the
timeout ("database is locked"). Python's driver opens a transaction at the first write, so this befalls only what begins
with a savepoint, which the driver takes for no write: `airflow backfill create` reads behind one what is there already.
Here a transaction that begins with a savepoint begins as a writing one.
"""

from __future__ import annotations

import sqlite3
from typing import Any

#: How long a transaction waits for the others, seconds; the driver's own is 5.
PATIENCE = 30.0


class PatientCursor(sqlite3.Cursor):
    """Takes its place among those who write before a savepoint, not after what was read behind it."""

    def execute(self, statement: str, parameters: Any = (), /) -> PatientCursor:
        """As `sqlite3.Cursor.execute`."""
        if statement.startswith("SAVEPOINT ") and not self.connection.in_transaction:
            super().execute("BEGIN IMMEDIATE")
        super().execute(statement, parameters)
        return self


class PatientConnection(sqlite3.Connection):
    """A connection whose cursors are patient ones."""

    def cursor(self, factory: Any = PatientCursor) -> Any:
        """As `sqlite3.Connection.cursor`."""
        return super().cursor(factory)


#: What Airflow hands to the driver: its setting `sql_alchemy_connect_args`, and `_async`.
CONNECT_ARGS: dict[str, Any] = {"timeout": PATIENCE, "factory": PatientConnection}
CONNECT_ARGS_ASYNC: dict[str, Any] = dict(CONNECT_ARGS)
#: The same for the API server, which is not to wait for longer than the driver does by itself: it writes its log of
#: actions in the event loop, and the transaction that it waits for there may need that loop to end.
SERVER_CONNECT_ARGS: dict[str, Any] = {"factory": PatientConnection}
SERVER_CONNECT_ARGS_ASYNC: dict[str, Any] = dict(SERVER_CONNECT_ARGS)


def connect_args(*, server: bool = False) -> dict[str, str]:
    """Airflow's settings, as environment variables.

    :param server: whether of the API server.
    """
    name = "SERVER_CONNECT_ARGS" if server else "CONNECT_ARGS"
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": f"{__name__}.{name}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": f"{__name__}.{name}_ASYNC",
    }
