"""The lake as a reader sees it: one DuckDB in memory with a view on every table, nothing locked, nothing written.

Iceberg tables are read at the state they have when the lake is opened. dbt's views and intermediate tables come from a
copy of its DuckDB file, because an open file would keep dbt out.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb

from local.lake.catalog import CATALOG_NAME, LakeFolder
from local.lake.extensions import CONNECTION_CONFIG, load_extensions

#: How long to wait for dbt to close its file, in seconds; it is open while a dbt task runs.
PATIENCE = 3.0

_TYPES = {
    "string": "varchar",
    "long": "bigint",
    "int": "integer",
    "boolean": "boolean",
    "double": "double",
    "float": "float",
    "date": "date",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
}


class NoLake(FileNotFoundError):
    """Nothing has been written to the lake yet."""


@dataclass
class OpenLake:
    """An open lake.

    :param connection: its current database is `lake`; the tables are `<namespace>.<table>`.
    :param unreadable: what could not be opened, in words.
    """

    connection: duckdb.DuckDBPyConnection
    unreadable: list[str] = field(default_factory=list)


@contextlib.contextmanager
def open_read_only(lake: LakeFolder) -> Iterator[OpenLake]:
    """Open a lake for reading; it may be written to meanwhile.

    :param lake: the lake folder.
    :raises NoLake: if it has no catalog yet.
    """
    if not lake.exists:
        raise NoLake(f"no lake at {lake.path}: run `make run` first")
    with (
        duckdb.connect(config=CONNECTION_CONFIG) as connection,
        tempfile.TemporaryDirectory(prefix="sf-history-") as scratch,
    ):
        load_extensions(connection, lake.extension_folder)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("ATTACH ':memory:' AS lake")
        opened = OpenLake(connection)
        for namespace, table, location in _iceberg_tables(lake):
            _show(opened, namespace, table, f"SELECT * FROM iceberg_scan({_literal(location)})", location)
        _show_dbt_views(opened, lake, Path(scratch))
        connection.execute("USE lake")
        yield opened


def _iceberg_tables(lake: LakeFolder) -> list[tuple[str, str, str]]:
    with contextlib.closing(sqlite3.connect(f"file:{lake.catalog_file}?mode=ro", uri=True, timeout=10)) as catalog:
        return catalog.execute(
            "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables WHERE catalog_name = ? "
            "ORDER BY table_namespace, table_name",
            [CATALOG_NAME],
        ).fetchall()


def _show(opened: OpenLake, namespace: str, name: str, query: str, metadata: str | None = None) -> None:
    relation = f"lake.{_quoted(namespace)}.{_quoted(name)}"
    try:
        opened.connection.execute(f"CREATE SCHEMA IF NOT EXISTS lake.{_quoted(namespace)}")
        opened.connection.execute(f"CREATE VIEW {relation} AS {query}")
    except duckdb.Error as error:
        # DuckDB cannot scan a table that has no snapshot yet; it has columns all the same.
        empty = _empty_table(metadata) if metadata else None
        if empty is None:
            opened.unreadable.append(f"{namespace}.{name}: {' '.join(str(error).split())}")
        else:
            opened.connection.execute(f"CREATE VIEW {relation} AS {empty}")


def _empty_table(metadata_location: str) -> str | None:
    metadata = json.loads(Path(unquote(urlsplit(metadata_location).path)).read_text(encoding="utf-8"))
    if metadata.get("current-snapshot-id") not in (None, -1):
        return None
    schema = next(one for one in metadata["schemas"] if one["schema-id"] == metadata["current-schema-id"])
    columns = ", ".join(
        f"CAST(NULL AS {_TYPES.get(str(one['type']), 'varchar')}) AS {_quoted(one['name'])}" for one in schema["fields"]
    )
    return f"SELECT {columns} WHERE false"


def _show_dbt_views(opened: OpenLake, lake: LakeFolder, scratch: Path) -> None:
    if not lake.views_file.is_file():
        return
    try:
        copy = _copy_views(opened.connection, lake.views_file, scratch)
        # dbt's views name each other by the database `views`, and the Iceberg tables by `lake`.
        opened.connection.execute(f"ATTACH {_literal(str(copy))} AS views")
    except duckdb.Error as error:
        opened.unreadable.append(
            f"views and intermediate tables (dim_…_current, stg_…, int_…): dbt is writing to {lake.views_file.name} "
            f"now; try again in a moment ({' '.join(str(error).split())[:160]})"
        )
        return
    there = opened.connection.execute(
        "SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = 'views' AND NOT internal "
        "UNION ALL SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'views' ORDER BY 1, 2"
    ).fetchall()
    for schema, name in there:
        _show(opened, schema, name, f"SELECT * FROM views.{_quoted(schema)}.{_quoted(name)}")


def _copy_views(connection: duckdb.DuckDBPyConnection, source: Path, scratch: Path) -> Path:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            # Attached for reading, nobody writes while the file is copied.
            connection.execute(f"ATTACH {_literal(str(source))} AS dbt_file (READ_ONLY)")
            break
        except duckdb.IOException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    try:
        log = source.with_name(f"{source.name}.wal")
        if log.is_file():
            shutil.copy(log, scratch)
        return Path(shutil.copy(source, scratch))
    finally:
        connection.execute("DETACH dbt_file")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
