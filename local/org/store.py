"""The org's records: events as they were loaded, and what stands at the clock's time.

Each object has a table of current records that is brought forward (or back) when the clock moves: only the Ids with an
event whose visibility changed are folded again. A column of that table is made when a field is first set.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Any

from local.org import timestamps
from local.org.database import Database
from local.org.event import Event
from local.org.fold import Patch, Record, fold
from local.org.schema import Field, Schema, SObject

INITIAL_CLOCK = "2026-01-05T00:00:00Z"
_BATCH = 5000
_DATES = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
_CORE = ("Id", *_DATES, "IsDeleted")


def column_name(field: str) -> str:
    """Return the quoted column that holds a field's values.

    :param field: the API name (letters, digits and _).
    """
    return f'"f_{field}"'


class Store:
    """Events and current records.

    :param database: the org's file.
    :param schema: the org's schema.
    """

    def __init__(self, *, database: Database, schema: Schema) -> None:
        self.database = database
        self.schema = schema
        self._columns: dict[str, list[str]] = {}
        self._moving = threading.RLock()
        with database.write() as connection:
            if database.get("clock") is None:
                database.put("clock", timestamps.parse(INITIAL_CLOCK))
            for name in schema:
                self._make_table(connection, name)
        self._clock: int = database.get("clock")

    @property
    def clock(self) -> int:
        """The org's time, in seconds since 1970."""
        return self._clock

    def set_clock(self, seconds: int) -> int:
        """Move the org's clock, forward or back.

        :param seconds: the new time, in seconds since 1970.
        :returns: how many records were looked at again.
        """
        with self._moving, self.database.write() as connection:
            low, high = sorted((self._clock, seconds))
            self._touch(connection, "SELECT object, id FROM events WHERE shows_at > ? AND shows_at <= ?", (low, high))
            touched = self._fold_touched(connection, clock=seconds)
            self.database.put("clock", seconds)
            self._clock = seconds
        return touched

    def add_events(self, events: Iterable[Event]) -> tuple[int, int]:
        """Load events; those that are there already change nothing.

        :param events: the events; if the iterator raises, none is loaded.
        :returns: how many were read, and how many of them were new.
        """
        read = 0
        used: dict[str, set[str]] = {name: set() for name in self.schema}
        with self._moving, self.database.write() as connection:
            last = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
            before = connection.total_changes

            def rows() -> Iterator[tuple[Any, ...]]:
                nonlocal read
                for event in events:
                    read += 1
                    if event.op == "refresh":
                        continue
                    used[event.object].update(event.fields)
                    yield (
                        *(event.digest(), event.object, event.id, event.at, event.shows_at, event.op, event.system),
                        json.dumps(event.fields) if event.fields else "{}",
                    )

            try:
                connection.executemany(
                    "INSERT OR IGNORE INTO events (digest, object, id, at, shows_at, op, system, fields) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    rows(),
                )
                new = connection.total_changes - before
                for name, fields in used.items():
                    self._make_columns(connection, name, fields)
                query = "SELECT object, id FROM events WHERE seq > ? AND shows_at <= ?"
                self._touch(connection, query, (last, self._clock))
                self._fold_touched(connection, clock=self._clock)
            except BaseException:
                self._columns.clear()
                raise
        return read, new

    def columns(self, name: str) -> list[str]:
        """Return the fields of an object that have a column of their own.

        :param name: the object.
        """
        known = self._columns.get(name)
        if known is None:
            rows = self.database.connection().execute(f'PRAGMA table_info("rec_{name}")')
            known = [row[1].removeprefix("f_") for row in rows if row[1].startswith("f_")]
            self._columns[name] = known
        return known

    def expression(self, sobject: SObject) -> Callable[[Field], str]:
        """Return a function that gives the SQL expression of a field's value.

        :param sobject: the object.
        """
        known = set(self.columns(sobject.name))

        def of(field: Field) -> str:
            if field.is_compound:
                parts = [part for part in sobject.components(field) if part.name in known]
                if not parts:
                    return "NULL"
                pairs = ", ".join(f"'{_part(part, field)}', {column_name(part.name)}" for part in parts)
                given = ", ".join(column_name(part.name) for part in parts)
                return f"CASE WHEN coalesce({given}, NULL) IS NULL THEN NULL ELSE json_object({pairs}) END"
            if field.name in known:
                return column_name(field.name)
            return str(_default(field)) if field.type == "boolean" else "NULL"

        return of

    def latest_covered(self, name: str, *, end: int) -> int:
        """Return getUpdated's latestDateCovered: nothing up to it can still be committed.

        :param name: the object.
        :param end: the end of the asked range, in seconds since 1970.
        :returns: seconds since 1970, a whole minute.
        """
        pending = self.database.connection().execute(
            "SELECT min(at) FROM events WHERE shows_at > ? AND at <= ? AND object = ?", (self._clock, self._clock, name)
        )
        bounds = [end, self._clock, *(value for (value,) in pending if value is not None)]
        return min(bounds) // 60 * 60

    def put_record(self, name: str, *, record_id: str, record: Record) -> None:
        """Write a record that no event tells of (the Organization).

        :param name: the object.
        :param record_id: its Id, 18 characters.
        :param record: its values.
        """
        with self.database.write() as connection:
            self._make_columns(connection, name, set(record.values))
            self._insert(connection, name, [(record_id, record)])

    def make_columns(self, name: str, fields: Iterable[str]) -> None:
        """Make the columns of fields that no event has set yet, for whoever fills the table by SQL.

        :param name: the object.
        :param fields: API names.
        """
        with self.database.write() as connection:
            self._make_columns(connection, name, set(fields))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return, for each object that has records or events, how many."""
        connection = self.database.connection()
        events = dict(connection.execute("SELECT object, count(*) FROM events GROUP BY object").fetchall())
        found = {}
        for name in self.schema:
            row = connection.execute(
                f'SELECT count(*), coalesce(sum(f_IsDeleted), 0), coalesce(sum(hidden), 0) FROM "rec_{name}"'
            ).fetchone()
            found[name] = {"events": events.get(name, 0), "records": row[0], "deleted": row[1], "hidden": row[2]}
        return found

    def _make_table(self, connection: sqlite3.Connection, name: str) -> None:
        connection.execute(
            f'CREATE TABLE IF NOT EXISTS "rec_{name}" (f_Id TEXT PRIMARY KEY, f_SystemModstamp INTEGER, '
            "f_LastModifiedDate INTEGER, f_CreatedDate INTEGER, f_IsDeleted INTEGER, hidden INTEGER, deleted_at INTEGER"
            ") WITHOUT ROWID"
        )
        for date in _DATES:
            connection.execute(
                f'CREATE INDEX IF NOT EXISTS "{name}_by_{date}" ON "rec_{name}" (f_{date}, f_Id, hidden, f_IsDeleted)'
            )

    def _make_columns(self, connection: sqlite3.Connection, name: str, fields: set[str]) -> None:
        definitions = self.schema.objects[name].by_exact_name
        for field in sorted(fields - set(self.columns(name))):
            definition = definitions[field]
            default = f" DEFAULT {_default(definition)}" if definition.type == "boolean" else ""
            connection.execute(f'ALTER TABLE "rec_{name}" ADD COLUMN {column_name(field)}{default}')
            self._columns[name].append(field)

    @staticmethod
    def _touch(connection: sqlite3.Connection, query: str, bounds: tuple[int, int]) -> None:
        """Note the records that a query finds, to be folded again."""
        connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS touched (object TEXT, id TEXT, PRIMARY KEY (object, id)) WITHOUT ROWID"
        )
        connection.execute("DELETE FROM touched")
        connection.execute(f"INSERT OR IGNORE INTO touched {query}", bounds)

    def _fold_touched(self, connection: sqlite3.Connection, *, clock: int) -> int:
        """Fold the noted records again and write what stands."""
        names = [row[0] for row in connection.execute("SELECT DISTINCT object FROM touched").fetchall()]
        for name in names:
            if connection.execute(f'SELECT 1 FROM "rec_{name}" LIMIT 1').fetchone():
                connection.execute(
                    f'DELETE FROM "rec_{name}" WHERE f_Id IN (SELECT id FROM touched WHERE object = ?)', (name,)
                )
            rows = connection.execute(
                "SELECT t.id, e.at, e.op, e.system, e.fields FROM touched t CROSS JOIN events e "
                "ON e.object = t.object AND e.id = t.id WHERE t.object = ? AND e.shows_at <= ? "
                "ORDER BY t.id, e.at, e.seq",
                (name, clock),
            )
            standing = (
                (key, record)
                for key, group in groupby(rows, key=lambda row: row[0])
                if (record := fold(Patch(at, op, bool(sys), json.loads(text)) for _, at, op, sys, text in group))
            )
            while batch := list(islice(standing, _BATCH)):
                self._insert(connection, name, batch)
        return int(connection.execute("SELECT count(*) FROM touched").fetchone()[0])

    def _insert(self, connection: sqlite3.Connection, name: str, batch: list[tuple[str, Record]]) -> None:
        definitions = self.schema.objects[name].by_exact_name
        others = [field for field in self.columns(name) if field not in _CORE]
        defaults = {
            field: _default(definitions[field])
            for field in others
            if field in definitions and definitions[field].type == "boolean"
        }
        columns = ", ".join(column_name(field) for field in (*_CORE, *others))
        marks = ", ".join("?" * (len(_CORE) + len(others) + 2))
        connection.executemany(
            f'INSERT OR REPLACE INTO "rec_{name}" ({columns}, hidden, deleted_at) VALUES ({marks})',
            (
                (
                    *(key, record.modstamp, record.modified, record.created, record.deleted),
                    *(record.values.get(field, defaults.get(field)) for field in others),
                    *(record.hidden, record.deleted_at),
                )
                for key, record in batch
            ),
        )


def _default(field: Field) -> int:
    """Return what a boolean field holds when nobody has set it."""
    return int(field.name == "IsActive")


def _part(part: Field, compound: Field) -> str:
    """Return the name of a part within a compound value, e.g. ``postalCode``."""
    bare = part.name.removeprefix(compound.name.removesuffix("Address")) or part.name
    return bare[0].lower() + bare[1:]
