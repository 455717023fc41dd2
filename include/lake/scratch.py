"""Tables that live as long as an upsert: what the engine is given, and what it hands back.

They are Parquet under the run's staged files, and hold no statistics: no file but the Parquet tells of a record, and
that is found by whoever forgets a person in the staged files.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import IcebergType, NestedField

from include.lake.data_files import LARGE_FILE_BYTES, write_files
from include.lake.one_commit import commit_once
from include.lake.short_lived import short_lived_name
from include.lake.tables import arrow_schema
from include.staging.store import join, remove

log = logging.getLogger(__name__)

_PROPERTIES = {
    "format-version": "2",
    "write.metadata.metrics.default": "none",
    "write.parquet.compression-codec": "snappy",
    "write.metadata.delete-after-commit.enabled": "true",
}


class Scratch:
    """The short-lived tables of one attempt; they go at its end.

    :param catalog: the Iceberg catalog.
    :param beside: `namespace.table` that they are named after.
    :param folder: of the run's staged files.
    """

    def __init__(self, catalog: Catalog, beside: str, folder: str) -> None:
        self.catalog, self.beside = catalog, beside
        self.folder = join(folder, uuid.uuid4().hex)
        self._names: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for name in self._names:
                with suppress(NoSuchTableError):
                    self.catalog.drop_table(name)
            remove(self.folder)
        except Exception as failure:  # noqa: BLE001 - what the attempt itself ended with counts
            log.warning("%s: short-lived tables could not be removed, and are left: %s", self.beside, failure)

    def table(self, what: str, columns: Iterable[tuple[str, IcebergType]], rows: Iterable[pa.Table] = ()) -> Table:
        """Make a table.

        :param what: what it is, in lower-case letters.
        :param columns: name and type.
        :param rows: what it holds, in the Arrow types of these columns; written a file at a time.
        """
        fields = [
            NestedField(field_id=number, name=name, field_type=kind, required=False)
            for number, (name, kind) in enumerate(columns, start=1)
        ]
        name = short_lived_name(self.beside, what)
        self._names.append(name)
        table = self.catalog.create_table(
            name, Schema(*fields), location=join(self.folder, what), properties=_PROPERTIES
        )
        schema = arrow_schema(table)
        added = [
            file
            for piece in _large(rows)
            for file in write_files(table, piece.cast(schema), file_bytes=LARGE_FILE_BYTES)
        ]
        if added:
            commit_once(table, added=added)
        return table


def _large(rows: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in pieces that fill a file."""
    waiting: list[pa.Table] = []
    for piece in rows:
        waiting.append(piece)
        if sum(one.nbytes for one in waiting) >= LARGE_FILE_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
