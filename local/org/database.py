"""The org's SQLite file: connections, transactions, and the few values that are kept by name."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, object TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL,
    shows_at INTEGER NOT NULL, op TEXT NOT NULL, system INTEGER NOT NULL, fields TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS events_of_record ON events (object, id, at, seq);
CREATE INDEX IF NOT EXISTS events_by_showing ON events (shows_at);
CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, kind TEXT NOT NULL, opened INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cursors (
    number INTEGER PRIMARY KEY, object TEXT NOT NULL, fields TEXT NOT NULL, include_deleted INTEGER NOT NULL,
    page INTEGER NOT NULL, opened INTEGER NOT NULL, ids BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, operation TEXT NOT NULL, object TEXT NOT NULL,
    query TEXT NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL, modified INTEGER NOT NULL,
    version REAL NOT NULL, delimiter TEXT NOT NULL, line_ending TEXT NOT NULL, records INTEGER NOT NULL DEFAULT 0,
    milliseconds INTEGER NOT NULL DEFAULT 0, error TEXT);
"""


def fold_case(value: Any) -> Any:
    """Return a text in the form in which Salesforce compares it: case does not matter.

    :param value: a text; anything else is returned as it is.
    """
    return value.lower() if isinstance(value, str) else value


class Database:
    """One SQLite file, a connection for each thread, one writer at a time.

    :param path: the file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._writing = threading.RLock()
        with self.write() as connection:
            for statement in _TABLES.split(";"):
                connection.execute(statement)

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, for reading."""
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self.new_connection()
        return found

    def new_connection(self) -> sqlite3.Connection:
        """Return a connection of one's own, to be closed by the caller."""
        fresh = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
        fresh.create_function("sf_fold", 1, fold_case, deterministic=True)
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "temp_store=MEMORY", "cache_size=-16384"):
            fresh.execute(f"PRAGMA {pragma}")
        return fresh

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that is committed at the end, or rolled back if it raises."""
        with self._writing:
            connection = self.connection()
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value that is kept by name.

        :param name: its name.
        :param default: what to return if there is none.
        """
        row = self.connection().execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return default if row is None else json.loads(row[0])

    def put(self, name: str, value: Any) -> None:
        """Keep a value by name.

        :param name: its name.
        :param value: anything that JSON can hold.
        """
        with self.write() as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, json.dumps(value)))
