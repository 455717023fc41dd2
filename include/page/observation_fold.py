"""Which version an observation opened, and which one it is in: the rules of the dimension, for one record at a time.

What dbt does for all records in SQL (dbt/macros/history/versions.sql) is a fold over a record's observations in order.
Here it is done for the one that a person looks at, and goes on where a page ended: `Fold` is all there is to remember.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from include.page.answers import plain

#: What a digest looks like. It is short since a cursor holds one for each tracked column.
DIGEST = re.compile(r"([0-9a-f]{8})?")
#: Columns of the log by which a record's observations are ordered, after `_window_end` and the cursor.
TIES = ("_extracted_at", "_row_hash", "_change", "_observed_columns")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An observation, and where it belongs.

    :param row: of the changes log.
    :param version: number of the version that it is in, from 0.
    :param opens: whether it opened that version.
    """

    row: Mapping[str, Any]
    version: int
    opens: bool


@dataclass
class Fold:
    """What is known of a record after some of its observations.

    :param tracked: source columns whose change opens a version.
    :param version: number of the version that the last one was in; -1: there was none.
    :param deleted: whether it said that the record is gone.
    :param known: tracked column → a digest of the last value that was observed.
    """

    tracked: Sequence[str]
    version: int = -1
    deleted: bool = False
    known: dict[str, str] = field(default_factory=dict)

    def take(self, row: Mapping[str, Any]) -> Placed:
        """Go on by one observation.

        :param row: of the changes log.
        """
        observed = row["_observed_columns"]
        saw = None if observed is None else set(observed.split(","))
        deleted = bool(row["isdeleted"]) or row["_change"] == "delete"
        opens = self.version < 0 or deleted != self.deleted
        for column in self.tracked:
            if saw is not None and column not in saw:
                continue  # not observed is not empty
            code = digest(row.get(column))  # tracked only since lately: the log has no such column yet
            # The first value that is known opens nothing.
            opens = opens or self.known.get(column, code) != code
            self.known[column] = code
        self.deleted = deleted
        self.version += opens
        return Placed(row=row, version=self.version, opens=opens)


def digest(value: Any) -> str:
    """A short text that is another one for another value; an empty text is null, as staging has it.

    :param value: of a tracked column.
    """
    if value is None or value == "":
        return ""
    return sha256(repr(plain(value)).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def order_key(row: Mapping[str, Any], cursor: str) -> tuple[Any, ...]:
    """What a record's observations are ordered by; null comes last, as it does in the history's SQL.

    :param row: of the changes log.
    :param cursor: the object's cursor column.
    """
    return tuple(_key(row[name]) for name in ("_window_end", cursor, *TIES))


def in_order(rows: Iterable[Mapping[str, Any]], cursor: str) -> list[Mapping[str, Any]]:
    """Observations of one record, oldest first.

    :param rows: of the changes log.
    :param cursor: the object's cursor column.
    """
    return sorted(rows, key=lambda row: order_key(row, cursor))


def _key(value: Any) -> tuple[int, Any]:
    if value is None:
        return (1, 0)
    if isinstance(value, datetime):
        return (0, round(value.timestamp() * 1_000_000))
    return (0, value)
