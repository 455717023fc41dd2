"""Reading a few columns of many files, and of those only what may hold the rows that are wanted.

An engine leaves small files behind with each MERGE, and position deletes of older ones. pyiceberg's scan takes some
milliseconds for each of them; here Parquet is read by itself, and the positions are left out. Whatever is not plain (a
column of another type, equality deletes) goes through pyiceberg all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask, Table
from pyiceberg.types import StringType

from include.lake.data_files import equal_to
from include.lake.file_reading import read_pieces
from include.lake.tables import arrow_schema

#: Values of a piece, whatever the number of columns: what is in memory at a time while rows are streamed.
PIECE_VALUES = 1_000_000
_FIELD_ID = b"PARQUET:field_id"
_TEXTS = (pa.string(), pa.large_string())


@dataclass(frozen=True, kw_only=True)
class One:
    """The rows of one record.

    :param column: that holds the Id.
    :param value: the Id.
    """

    column: str
    value: str


def read_table(
    table: Table,
    columns: Sequence[str],
    *,
    pruned_by: BooleanExpression | None = None,
    encoded: Collection[str] = (),
    one: One | None = None,
) -> Iterator[pa.Table]:
    """The live rows of a table's current snapshot, a piece at a time, in no order.

    :param table: the loaded table.
    :param columns: which columns; what a file lacks is null.
    :param pruned_by: files that hold no such row are left out; of the others all rows come.
    :param encoded: columns of text that are wanted as dictionaries.
    :param one: only the rows of this record.
    """
    tasks = table.scan(row_filter=pruned_by or AlwaysTrue(), selected_fields=tuple(columns)).plan_files()
    reader = _Reader(table, tuple(columns), frozenset(encoded), one)
    for task in tasks:
        yield from reader.pieces(task)


def is_text(table: Table, column: str) -> bool:
    """Whether a table has a column of text by that name.

    :param table: the loaded table.
    :param column: its name.
    """
    schema = table.schema()
    return column in schema.column_names and isinstance(schema.find_field(column).field_type, StringType)


class _Reader:
    def __init__(self, table: Table, columns: tuple[str, ...], encoded: frozenset[str], one: One | None) -> None:
        self.table = table
        self.encoded = encoded
        self.one = one
        known = arrow_schema(table)
        self.wanted = pa.schema([known.field(name) for name in columns])
        self.ids = {name: str(table.schema().find_field(name).field_id).encode() for name in columns}
        self._deletes: dict[str, pa.Table] = {}

    def pieces(self, task: FileScanTask) -> Iterator[pa.Table]:
        if task.file.file_format == FileFormat.PARQUET and all(map(_by_position, task.delete_files)):
            with self.table.io.new_input(task.file.file_path).open() as stream:
                names = self._names(pq.read_schema(stream))
                if names is not None:
                    stream.seek(0)
                    yield from self._plain(stream, task, names)
                    return
        exactly = equal_to(self.one.column, self.one.value) if self.one else None
        for piece in read_pieces(self.table, task, self.wanted.names, exactly):
            yield self._shaped(dict(zip(piece.schema.names, piece.columns, strict=True)), piece.num_rows)

    def _names(self, found: pa.Schema) -> dict[str, str] | None:
        """Wanted column → what it is called in the file; None if one has another type there."""
        by_id = {(field.metadata or {}).get(_FIELD_ID): field for field in found}
        names = {}
        for field in self.wanted:
            there = by_id.get(self.ids[field.name])
            if there is None:
                continue
            if there.type != field.type and not (there.type in _TEXTS and field.type in _TEXTS):
                return None
            names[field.name] = there.name
        return names

    def _plain(self, stream: Any, task: FileScanTask, names: dict[str, str]) -> Iterator[pa.Table]:
        encoded = [names[name] for name in self.encoded if name in names]
        gone = self._gone(task)
        with pq.ParquetFile(stream, read_dictionary=encoded, pre_buffer=True) as file:
            begun = 0
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                rows = begun
                begun += group.num_rows
                if self._cannot_hold(group, names):
                    continue
                size = max(1, PIECE_VALUES // max(1, len(names)))
                for batch in file.iter_batches(
                    size, row_groups=[number], columns=list(names.values()), use_threads=False
                ):
                    piece = pa.Table.from_batches([batch])
                    here, rows = rows, rows + piece.num_rows
                    keep = np.ones(piece.num_rows, np.bool_)
                    if len(gone):
                        keep[gone[(gone >= here) & (gone < rows)] - here] = False
                    if self.one is not None:
                        same = pc.equal(piece[names[self.one.column]], self.one.value)
                        keep &= pc.fill_null(same, False).to_numpy()
                    if not keep.all():
                        piece = piece.filter(pa.array(keep))
                    if piece.num_rows:
                        yield self._shaped({name: piece[there] for name, there in names.items()}, piece.num_rows)

    def _cannot_hold(self, group: Any, names: dict[str, str]) -> bool:
        if self.one is None or self.one.column not in names:
            return False
        for place in range(group.num_columns):
            column = group.column(place)
            if column.path_in_schema == names[self.one.column]:
                said = column.statistics
                return bool(said and said.has_min_max and not said.min <= self.one.value <= said.max)
        return False

    def _shaped(self, columns: dict[str, pa.ChunkedArray], rows: int) -> pa.Table:
        made = {}
        for field in self.wanted:
            kind = pa.dictionary(pa.int32(), pa.string()) if field.name in self.encoded else field.type
            values = columns.get(field.name)
            if values is None:
                made[field.name] = pa.nulls(rows, kind)
            elif pa.types.is_dictionary(kind) and not pa.types.is_dictionary(values.type):
                made[field.name] = pc.dictionary_encode(values.cast(pa.string()))
            else:
                made[field.name] = values if values.type == kind else values.cast(kind)
        return pa.table(made)

    def _gone(self, task: FileScanTask) -> np.ndarray[Any, Any]:
        """Positions of the rows of a file that were deleted."""
        found = []
        for file in task.delete_files:
            if file.file_path not in self._deletes:
                self._deletes[file.file_path] = _positions(self.table.io, file)
            rows = self._deletes[file.file_path]
            found.append(rows.filter(pc.equal(rows["file_path"], task.file.file_path))["pos"].to_numpy())
        return np.concatenate(found) if found else np.array([], np.int64)


def _by_position(file: DataFile) -> bool:
    return file.content == DataFileContent.POSITION_DELETES and file.file_format == FileFormat.PARQUET


def _positions(io: FileIO, file: DataFile) -> pa.Table:
    with io.new_input(file.file_path).open() as stream, pq.ParquetFile(stream) as deletes:
        return deletes.read(columns=["file_path", "pos"], use_threads=False)
