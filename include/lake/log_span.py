"""Bounds of a part of the changes log, by which an engine reads few of its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyiceberg.conversions import from_bytes
from pyiceberg.table import Table
from pyiceberg.types import TimestamptzType

from include.lake.data_files import KeyedFile
from include.lake.sql_engine import column, moment

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Span:
    """Bounds of the log's rows that are asked for; None: none.

    :param first_extracted: earliest `_extracted_at`.
    :param last_extracted: latest `_extracted_at`.
    :param oldest_end: earliest `_window_end`.
    :param newest_end: latest `_window_end`.
    """

    first_extracted: datetime | None = None
    last_extracted: datetime | None = None
    oldest_end: datetime | None = None
    newest_end: datetime | None = None

    def condition(self, of: str) -> str:
        """As SQL.

        :param of: alias of the log.
        """
        wanted = (
            ("_extracted_at", ">=", self.first_extracted),
            ("_extracted_at", "<=", self.last_extracted),
            ("_window_end", ">=", self.oldest_end),
            ("_window_end", "<=", self.newest_end),
        )
        parts = [f"{column(name, of=of)} {sign} {moment(value)}" for name, sign, value in wanted if value is not None]
        return " AND ".join(parts) or "true"

    @classmethod
    def of(cls, table: Table, files: Sequence[KeyedFile]) -> Span:
        """The bounds of some files, as their writers have noted them; a file that says nothing opens them.

        :param table: the log, as it was loaded.
        :param files: of it.
        """
        extracted, end = _bounds(table, files, "_extracted_at"), _bounds(table, files, "_window_end")
        return cls(first_extracted=extracted[0], last_extracted=extracted[1], oldest_end=end[0], newest_end=end[1])


def _bounds(table: Table, files: Sequence[KeyedFile], name: str) -> tuple[datetime | None, datetime | None]:
    field = table.schema().find_field(name)
    found: list[list[datetime]] = []
    for noted in ("lower_bounds", "upper_bounds"):
        values = [(getattr(file.task.file, noted) or {}).get(field.field_id) for file in files]
        known: list[Any] = [from_bytes(TimestamptzType(), value) for value in values if value is not None]
        if not known or len(known) < len(values):
            return None, None
        found.append([_EPOCH + timedelta(microseconds=value) for value in known])
    return min(found[0]), max(found[1])
