"""Every version of an object in a few narrow arrays: whose it is, when it begins, and what its tracked fields say.

Texts are numbers here, so a million versions take some 25 MB. It is worked out once a snapshot and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import getsizeof
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from include.page.answers import plain
from include.page.columns import Columns
from include.page.lake import ObjectLake
from include.page.snapshot_cache import SnapshotCache
from include.page.table_reading import TablePlan, is_text

#: The field that says whether a record is there.
DELETED = "is_deleted"
#: Code of null.
EMPTY = -1
#: End of a version that has none.
NEVER = np.iinfo(np.int64).max

#: Of a number that is sorted by.
_KEY_BITS = 62

_Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """The values of one field.

    :param codes: of each version; `EMPTY` for null.
    :param known: code → value, as JSON has it.
    """

    codes: _Numbers
    known: tuple[Any, ...]

    def value(self, code: int) -> Any:
        """What a code stands for.

        :param code: of this field.
        """
        return None if code == EMPTY else self.known[code]

    def code_of(self, text: str) -> int | None:
        """The code of a value; None if no version has it.

        :param text: the value as a person writes it; empty: null.
        """
        if text == "":
            return EMPTY
        number = _number(text)
        return next(
            (
                code
                for code, value in enumerate(self.known)
                if (value == number if isinstance(value, float) else as_text(value) == text)
            ),
            None,
        )

    @property
    def nbytes(self) -> int:
        """Its memory, roughly."""
        return int(self.codes.nbytes) + sum(map(getsizeof, self.known)) + 8 * len(self.known)


@dataclass(frozen=True, kw_only=True)
class VersionIndex:
    """Versions, those of a record side by side in the order of time.

    :param ids: of the records.
    :param record: of each version: the position of its record's Id.
    :param opened: when each begins, microseconds since 1970, UTC.
    :param closed: when each ends; `NEVER`: it is the last.
    :param first: whether each is the first of its record.
    :param fields: the tracked fields, and `is_deleted`.
    """

    ids: pa.StringArray
    record: _Numbers
    opened: _Numbers
    closed: _Numbers
    first: _Numbers
    fields: dict[str, Field]

    @property
    def deleted(self) -> _Numbers:
        """Whether each says that its record is gone."""
        return self.fields[DELETED].codes == 1

    @property
    def newest(self) -> int | None:
        """When the last one began; None if there is none."""
        return int(self.opened.max()) if len(self.opened) else None

    @property
    def nbytes(self) -> int:
        """Its memory, roughly."""
        own = self.ids.nbytes + self.record.nbytes + self.opened.nbytes + self.closed.nbytes + self.first.nbytes
        return int(own) + sum(field.nbytes for field in self.fields.values())


def version_index(lake: ObjectLake, cache: SnapshotCache) -> VersionIndex:
    """The versions of an object, as the dimension has them now.

    :param lake: of the object.
    :param cache: keeps it.
    :raises NotThere: until the dimension has been published.
    """
    table = lake.known_dimension()
    return cache.of(
        table, "versions", lambda: _read(table, Columns(lake.object_file), cache), size=lambda made: made.nbytes
    )


def as_text(value: Any) -> str:
    """A value as a person writes it into a filter.

    :param value: as JSON has it.
    """
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _number(text: str) -> float | None:
    """What a text says as a number: JavaScript writes 1000.0 as 1000."""
    try:
        return float(text)
    except ValueError:
        return None


def _read(table: Table, columns: Columns, cache: SnapshotCache) -> VersionIndex:
    tracked = columns.there(columns.tracked, table.schema().column_names)
    texts = [columns.identity, *(name for name in tracked if is_text(table, name))]
    plan = TablePlan.of(table, cache, key=columns.identity)
    pieces = list(plan.read([columns.identity, "effective_from", DELETED, *tracked], encoded=texts))
    if not pieces:
        return _empty(columns)
    rows = pa.concat_tables(pieces).unify_dictionaries().combine_chunks()
    del pieces
    ids = _one_array(rows[columns.identity])
    opened = _one_array(rows["effective_from"].cast(pa.int64())).to_numpy()
    order = _in_order(ids.indices.to_numpy(), opened)
    record, opened = ids.indices.to_numpy()[order].astype(np.int32, copy=False), opened[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = record[1:] != record[:-1]
    closed = np.full(len(order), NEVER, np.int64)
    np.copyto(closed[:-1], opened[1:], where=~first[1:])
    gone = _one_array(rows[DELETED].fill_null(False)).to_numpy(zero_copy_only=False)[order]
    fields = {name: _field(rows[name], order) for name in tracked}
    for lacking in set(columns.tracked) - set(tracked):
        fields[lacking] = Field(codes=np.full(len(order), EMPTY, np.int32), known=())
    fields[DELETED] = Field(codes=gone.astype(np.int8), known=(False, True))
    return VersionIndex(
        ids=ids.dictionary, record=record, opened=opened, closed=closed, first=first,
        fields={name: fields[name] for name in (*columns.tracked, DELETED)},
    )  # fmt: skip


def _field(values: pa.ChunkedArray, order: _Numbers) -> Field:
    array = _one_array(values)
    if not pa.types.is_dictionary(array.type):
        array = pc.dictionary_encode(array)
    codes = pc.fill_null(array.indices, EMPTY).to_numpy()[order].astype(np.int32, copy=False)
    return Field(codes=codes, known=tuple(plain(value) for value in array.dictionary.to_pylist()))


def _in_order(record: _Numbers, opened: _Numbers) -> _Numbers:
    """The order by record, then by time. numpy sorts one number ten times as fast as two, so both are made one."""
    if len(opened) == 0:
        return np.array([], np.int64)
    since = opened - opened.min()
    # Salesforce's own moments are whole milliseconds; a version that had to be moved by a microsecond is rare.
    if not (since % 1_000).any():
        since //= 1_000
    bits = int(since.max()).bit_length()
    if bits + int(record.max()).bit_length() > _KEY_BITS:
        by_time = np.argsort(opened, kind="stable")
        since[by_time] = np.arange(len(opened))
        bits = len(opened).bit_length()
    # Files are written in this order, and a stable sort takes what is in order as it is.
    key = record.astype(np.int64)
    key <<= bits
    key |= since
    order: _Numbers = np.argsort(key, kind="stable")
    return order


def _one_array(values: pa.ChunkedArray) -> Any:
    combined = values.combine_chunks()
    return combined.chunk(0) if isinstance(combined, pa.ChunkedArray) else combined


def _empty(columns: Columns) -> VersionIndex:
    none = np.array([], np.int64)
    fields = {name: Field(codes=none.astype(np.int32), known=()) for name in columns.tracked}
    fields[DELETED] = Field(codes=none.astype(np.int8), known=(False, True))
    return VersionIndex(
        ids=pa.array([], pa.string()), record=none.astype(np.int32), opened=none, closed=none,
        first=none.astype(np.bool_), fields=fields,
    )  # fmt: skip
