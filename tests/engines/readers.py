"""One table read by three engines: pyiceberg, Trino, and DuckDB by the table's metadata file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import trino

from local.cloud.aws import REGION, Aws
from local.cloud.trino import CATALOG, Trino
from local.lake.extensions import CONNECTION_CONFIG, load_extensions
from tests.engines.engines import Engine

Rows = list[tuple[Any, ...]]


class Readers:
    """Reads tables of one lake on Glue and S3.

    :param engine: has the lake.
    :param server: a Trino over it.
    :param aws: where it is.
    :param folder: for DuckDB's extensions.
    """

    def __init__(self, engine: Engine, server: Trino, aws: Aws, folder: Path) -> None:
        self._engine, self._port = engine, server.port
        keys = aws.variables()
        self._duckdb = duckdb.connect(config=CONNECTION_CONFIG)
        load_extensions(self._duckdb, folder / "extensions")
        self._duckdb.execute("SET TimeZone = 'UTC'")
        self._duckdb.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{keys['AWS_ACCESS_KEY_ID']}', SECRET '{keys['AWS_SECRET_ACCESS_KEY']}', "
            f"REGION '{REGION}', ENDPOINT '{aws.endpoint.removeprefix('http://')}', URL_STYLE 'path', USE_SSL false)"
        )

    def by_pyiceberg(self, identifier: str) -> Rows:
        """Rows of a table, in an order of their own, as plain values."""
        rows = self._engine.rows(identifier)
        return _sorted(zip(*(column.to_pylist() for column in rows.columns), strict=True))

    def by_trino(self, identifier: str) -> Rows:
        """The same, by Trino."""
        return _sorted(self.trino(f"select * from {identifier}"))

    def by_duckdb(self, identifier: str) -> Rows:
        """The same, by DuckDB."""
        metadata = self._engine.catalog.load_table(identifier).metadata_location
        return _sorted(self._duckdb.execute(f"SELECT * FROM iceberg_scan('{metadata}')").fetchall())

    def agreed(self, identifier: str) -> Rows:
        """Rows of a table on which all three agree."""
        rows = self.by_pyiceberg(identifier)
        assert self.by_trino(identifier) == rows, f"{identifier}: Trino reads other rows"
        assert self.by_duckdb(identifier) == rows, f"{identifier}: DuckDB reads other rows"
        return rows

    def trino(self, statement: str) -> Sequence[Sequence[Any]]:
        """Run a statement on Trino."""
        connection = trino.dbapi.connect(host="127.0.0.1", port=self._port, user="test", catalog=CATALOG)
        return connection.cursor().execute(statement).fetchall()

    def types(self, identifier: str) -> dict[str, tuple[str, str]]:
        """Column → its type to Trino and to DuckDB."""
        metadata = self._engine.catalog.load_table(identifier).metadata_location
        said = self._duckdb.execute(f"DESCRIBE SELECT * FROM iceberg_scan('{metadata}')").fetchall()
        duck = {row[0]: str(row[1]) for row in said}
        return {row[0]: (str(row[1]), duck[row[0]]) for row in self.trino(f"describe {identifier}")}


def _sorted(rows: Any) -> Rows:
    return sorted((tuple(map(_plain, row)) for row in rows), key=repr)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return value
