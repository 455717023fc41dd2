"""Airflow's SQLite on a laptop: who comes second waits, and is not refused.

Airflow's processes share one file. SQLite lets one of them write at a time and the others wait, but a transaction that
began by reading may not wait: once another one has written, it is refused at its first write, at once and whatever the
timeout ("database is locked"). Python's driver opens a transaction at the first write, so this befalls only what begins
with a savepoint, which the driver takes for no write: `airflow backfill create` reads behind one what is there already.
Here a transaction that begins with a savepoint begins as a writing one, and all of them wait a minute, not 5 s.
"""

from __future__ import annotations

import sqlite3
from typing import Any

#: How long a transaction waits for the others, seconds.
PATIENCE = 60.0


class PatientCursor(sqlite3.Cursor):
    """Takes its place among those who write before a savepoint, not after what was read behind it."""

    def execute(self, statement: str, parameters: Any = (), /) -> PatientCursor:
        """As `sqlite3.Cursor.execute`; raises what that raises, after `PATIENCE` where others write."""
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
CONNECT_ARGS_ASYNC: dict[str, Any] = {**CONNECT_ARGS}
