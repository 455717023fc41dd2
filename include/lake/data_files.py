"""The data files of an Iceberg table: which there are, which Ids they may hold, reading them and writing new ones."""

from __future__ import annotations

import bisect
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, EqualTo, GreaterThanOrEqual, LessThanOrEqual
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table

from include.lake.file_reading import read_pieces
from include.lake.file_writing import DataFileWriter
from include.lake.tables import arrow_schema

log = logging.getLogger(__name__)

#: A file is split once its rows take this much memory (bytes of Arrow, several times its size in Parquet). It is what a
#: merge rewrites for one changed row: 100,000 narrow rows. The table's own target size (128 MB of
#: Parquet) is for an engine that compacts it.
FILE_BYTES = 16 * 1024 * 1024
#: The same for files that nothing is merged into.
LARGE_FILE_BYTES = 4 * FILE_BYTES


class SortedIds(Sequence[str]):
    """Ids in ascending order, looked up without turning them into Python strings.

    :param ids: sorted, distinct, without null.
    """

    def __init__(self, ids: pa.StringArray) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, position: Any) -> Any:
        return self.ids[position].as_py()

    def within(self, lower: str | None, upper: str | None) -> slice:
        """Where the Ids of a closed range lie; None is an open end.

        :param lower: first Id of the range.
        :param upper: last Id of the range.
        """
        start = 0 if lower is None else bisect.bisect_left(self, lower)
        end = len(self) if upper is None else bisect.bisect_right(self, upper)
        return slice(start, end)

    def positions_of(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """For each value its position among these Ids, null if it is not one of them.

        :param values: any Ids, without null.
        """
        bounds = pc.min_max(values)
        near = self.within(bounds["min"].as_py(), bounds["max"].as_py())
        if near.start >= near.stop:
            return pa.chunked_array([pa.nulls(len(values), pa.int32())])
        found = pc.index_in(values, value_set=self.ids[near])
        return pc.add(found, pa.scalar(near.start, pa.int32()))


@dataclass(frozen=True)
class KeyedFile:
    """A data file and the Ids it may hold.

    :param task: pyiceberg's scan task: the file and the position deletes that apply to it.
    :param lower: no Id in it is smaller (a prefix at worst); None if not known.
    :param upper: no Id in it is greater; None if not known.
    """

    task: FileScanTask
    lower: str | None
    upper: str | None

    @property
    def path(self) -> str:
        """Where the file is."""
        return self.task.file.file_path

    @property
    def rows(self) -> int:
        """Rows in the file, deleted ones included."""
        return self.task.file.record_count


def keyed_files(table: Table, row_filter: BooleanExpression | None = None, *, column: str = "id") -> list[KeyedFile]:
    """The data files of a table in the order of their Ids, pruned by a filter's bounds.

    :param table: the loaded table.
    :param row_filter: files that cannot hold a matching row are left out.
    :param column: that holds the Ids.
    """
    field = table.schema().find_field(column)
    files = []
    for task in table.scan(row_filter=row_filter or AlwaysTrue(), selected_fields=(column,)).plan_files():
        lower = (task.file.lower_bounds or {}).get(field.field_id)
        upper = (task.file.upper_bounds or {}).get(field.field_id)
        files.append(
            KeyedFile(
                task=task,
                lower=from_bytes(field.field_type, lower) if lower is not None else None,  # type: ignore[arg-type]
                upper=from_bytes(field.field_type, upper) if upper is not None else None,  # type: ignore[arg-type]
            )
        )
    return sorted(files, key=lambda file: (file.lower or "", file.path))


def id_range(ids: SortedIds) -> BooleanExpression:
    """A filter by which files are pruned that lie wholly before or after some Ids.

    :param ids: at least one.
    """
    return And(at_least("id", ids[0]), at_most("id", ids[len(ids) - 1]))


def at_least(column: str, value: str | datetime) -> BooleanExpression:
    """Values from this one on; pruning by bounds included.

    :param column: a column of the table.
    :param value: a text, or a moment with a time zone.
    """
    return GreaterThanOrEqual(column, _literal(value))  # type: ignore[misc, call-arg]


def at_most(column: str, value: str | datetime) -> BooleanExpression:
    """Values up to this one; pruning by bounds included.

    :param column: a column of the table.
    :param value: a text, or a moment with a time zone.
    """
    return LessThanOrEqual(column, _literal(value))  # type: ignore[misc, call-arg]


def equal_to(column: str, value: str | datetime) -> BooleanExpression:
    """This value; pruning by bounds included.

    :param column: a column of the table.
    :param value: a text, or a moment with a time zone.
    """
    return EqualTo(column, _literal(value))  # type: ignore[misc, call-arg]


def _literal(value: str | datetime) -> Any:
    return value if isinstance(value, str) else value.isoformat()


def read_file(
    table: Table, file: KeyedFile, columns: Sequence[str] | None = None, row_filter: BooleanExpression | None = None
) -> pa.Table:
    """The live rows of one data file, in the order they have there.

    :param table: the loaded table.
    :param file: one of its files.
    :param columns: which columns; all by default.
    :param row_filter: only rows that match.
    """
    wanted = arrow_schema(table)
    if columns is not None:
        wanted = pa.schema([wanted.field(name) for name in columns])
    pieces = list(read_pieces(table, file.task, columns, row_filter))
    return pa.concat_tables(pieces) if pieces else wanted.empty_table()


def write_files(table: Table, rows: pa.Table, *, file_bytes: int = FILE_BYTES) -> list[DataFile]:
    """Write rows to new data files, in the order given; nothing refers to them before a commit does.

    :param table: the loaded table.
    :param rows: in the table's Arrow schema.
    :param file_bytes: most bytes of Arrow in a file; rows are spread evenly, so that no tiny file is left over.
    """
    if rows.num_rows == 0:
        return []
    parts = max(1, math.ceil(rows.nbytes / file_bytes))
    writer = DataFileWriter(table)
    return [file for part in cut([rows], math.ceil(rows.num_rows / parts)) for file in writer.write(part)]


def cut(pieces: Iterable[pa.Table], size: int) -> Iterator[Iterator[pa.Table]]:
    """Rows cut into parts, each for a file of its own. A part is to be used up before the next one is asked for.

    :param pieces: the rows.
    :param size: rows of a part.
    """
    rest = iter(pieces)
    head = next(rest, None)

    def part() -> Iterator[pa.Table]:
        nonlocal head
        left = size
        while head is not None and left:
            rows = head.slice(0, left)
            head = head.slice(left) if head.num_rows > left else next(rest, None)
            left -= rows.num_rows
            yield rows

    while head is not None:
        yield part()


def discard(table: Table, files: Iterable[DataFile]) -> None:
    """Remove files that were written for a commit which certainly did not happen.

    :param table: the table they were written for.
    :param files: from `write_files`.
    """
    for file in files:
        try:
            table.io.delete(file.file_path)
        except OSError as error:
            log.warning("%s was written for a commit that failed, and cannot be removed: %s", file.file_path, error)
