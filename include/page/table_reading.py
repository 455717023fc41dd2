"""Reading a few columns of many files, and of those only what may hold the rows that are wanted.

An engine leaves small files behind with each MERGE, and position deletes of older ones. pyiceberg's scan takes some
milliseconds for each of them; here Parquet is read by itself, and the positions are left out. Whatever is not plain (a
column of another type, equality deletes) goes through pyiceberg all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression
from pyiceberg.expressions.visitors import expression_evaluator, inclusive_projection
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table
from pyiceberg.typedef import Record
from pyiceberg.types import StringType

from include.lake.data_files import KeyedFile, equal_to, keyed_files
from include.lake.file_reading import names_in, read_pieces
from include.lake.tables import arrow_schema
from include.page.snapshot_cache import SnapshotCache

#: Values of a piece, whatever the number of columns: what is in memory at a time while rows are streamed.
PIECE_VALUES = 1_000_000
#: The same where one record is looked for: little is read past it.
_VALUES_OF_ONE = 50_000
#: Memory of what is known of a file, roughly.
_BYTES_OF_A_FILE = 6_000


@dataclass(frozen=True, kw_only=True)
class One:
    """The rows of one record.

    :param column: that holds the Id.
    :param value: the Id.
    """

    column: str
    value: str


@dataclass(frozen=True)
class TablePlan:
    """The files of a table's current snapshot. Which they are takes longer to find out than to read some of them, so it
    is kept.

    :param table: the loaded table.
    :param files: all of them.
    """

    table: Table
    files: tuple[KeyedFile, ...]

    @classmethod
    def of(cls, table: Table, cache: SnapshotCache, *, key: str) -> Self:
        """The plan of a table as it was just loaded.

        :param table: the table.
        :param cache: keeps it.
        :param key: the column that holds the Ids.
        """
        files = cache.of(
            table,
            "files",
            lambda: tuple(keyed_files(table, column=key)),
            size=lambda found: _BYTES_OF_A_FILE * sum(1 + len(one.task.delete_files) for one in found),
        )
        return cls(table, files)

    def holding(self, rows: BooleanExpression | None = None, one: One | None = None) -> list[KeyedFile]:
        """The files that may hold some rows, by their partitions and the bounds of their Ids.

        :param rows: a filter; its columns that are no partition prune nothing.
        :param one: only those that may hold this record.
        """
        wanted = rows if rows is not None else AlwaysTrue()
        if one is not None:
            wanted = And(wanted, equal_to(one.column, one.value))
        fits: dict[int, Callable[[Record], bool]] = {}
        found = []
        for file in self.files:
            data = file.task.file
            if data.spec_id not in fits:
                fits[data.spec_id] = self._partitions(data.spec_id, wanted)
            if one is not None and not _within(one.value, file):
                continue
            if fits[data.spec_id](data.partition):
                found.append(file)
        return found

    def _partitions(self, spec_id: int, wanted: BooleanExpression) -> Callable[[Record], bool]:
        schema, spec = self.table.schema(), self.table.specs()[spec_id]
        projected = inclusive_projection(schema, spec)(wanted)
        return expression_evaluator(Schema(*spec.partition_type(schema).fields), projected, case_sensitive=True)

    def read(
        self,
        columns: Sequence[str],
        *,
        rows: BooleanExpression | None = None,
        encoded: Collection[str] = (),
        one: One | None = None,
    ) -> Iterator[pa.Table]:
        """The live rows, a piece at a time, in no order.

        :param columns: which columns; what a file lacks is null.
        :param rows: partitions that hold no such row are left out; of the others all rows come.
        :param encoded: columns of text that are wanted as dictionaries.
        :param one: only the rows of this record.
        """
        reader = FileReader(self.table, columns, encoded=encoded, one=one)
        for file in self.holding(rows, one):
            yield from reader.pieces(file.task)


def is_text(table: Table, column: str) -> bool:
    """Whether a table has a column of text by that name.

    :param table: the loaded table.
    :param column: its name.
    """
    schema = table.schema()
    return column in schema.column_names and isinstance(schema.find_field(column).field_type, StringType)


def _within(value: str, file: KeyedFile) -> bool:
    """Whether a file may hold an Id. A bound may be cut off: the upper one is then the greater for it."""
    return (file.lower is None or file.lower <= value) and (file.upper is None or file.upper >= value)


class FileReader:
    """Reads files of one table.

    :param table: the loaded table.
    :param columns: which columns; what a file lacks is null.
    :param encoded: columns of text that are wanted as dictionaries.
    :param one: only the rows of this record.
    """

    def __init__(
        self, table: Table, columns: Sequence[str], *, encoded: Collection[str] = (), one: One | None = None
    ) -> None:
        self.table = table
        self.encoded = frozenset(encoded)
        self.one = one
        known = arrow_schema(table)
        self.wanted = pa.schema([known.field(name) for name in columns])
        self._deletes: dict[str, pa.Table] = {}

    def pieces(self, task: FileScanTask) -> Iterator[pa.Table]:
        """The live rows of a file, a piece at a time.

        :param task: the file, and what is deleted in it.
        """
        if task.file.file_format == FileFormat.PARQUET and all(map(_by_position, task.delete_files)):
            with self.table.io.new_input(task.file.file_path).open() as stream:
                metadata = pq.read_metadata(stream)
                names = names_in(metadata.schema.to_arrow_schema(), self.wanted, self.table)
                if names is not None:
                    yield from self._plain(stream, metadata, task, names)
                    return
        exactly = equal_to(self.one.column, self.one.value) if self.one else None
        for piece in read_pieces(self.table, task, self.wanted.names, exactly):
            yield self._shaped(dict(zip(piece.schema.names, piece.columns, strict=True)), piece.num_rows)

    def _plain(
        self, stream: Any, metadata: pq.FileMetaData, task: FileScanTask, names: dict[str, str]
    ) -> Iterator[pa.Table]:
        encoded = [names[name] for name in self.encoded if name in names]
        gone = self._gone(task)
        with pq.ParquetFile(stream, metadata=metadata, read_dictionary=encoded) as file:
            begun = 0
            for number in range(file.num_row_groups):
                count = file.metadata.row_group(number).num_rows
                keep = np.ones(count, np.bool_)
                keep[gone[(gone >= begun) & (gone < begun + count)] - begun] = False
                begun += count
                if self.one is not None:
                    keep &= self._where(file, number, names)
                yield from self._group(file, number, names, keep)

    def _group(
        self, file: pq.ParquetFile, number: int, names: dict[str, str], keep: np.ndarray[Any, Any]
    ) -> Iterator[pa.Table]:
        """The rows of a row group that are to be kept. What comes after the last of them is not read."""
        wanted = np.flatnonzero(keep)
        if len(wanted) == 0:
            return
        size = max(1, (PIECE_VALUES if self.one is None else _VALUES_OF_ONE) // max(1, len(names)))
        begun = 0
        for batch in file.iter_batches(size, row_groups=[number], columns=list(names.values()), use_threads=False):
            here = keep[begun : begun + batch.num_rows]
            begun += batch.num_rows
            piece = pa.Table.from_batches([batch])
            if not here.all():
                piece = piece.filter(pa.array(here))
            if piece.num_rows:
                yield self._shaped({name: piece[there] for name, there in names.items()}, piece.num_rows)
            if begun > wanted[-1]:
                return

    def _where(self, file: pq.ParquetFile, number: int, names: dict[str, str]) -> np.ndarray[Any, Any]:
        """Which rows of a row group are of the one record; its other columns are not looked at."""
        one, group = self.one, file.metadata.row_group(number)
        none = np.zeros(group.num_rows, np.bool_)
        if one is None or one.column not in names:
            return none
        chunks = [group.column(place) for place in range(group.num_columns)]
        said = next(chunk.statistics for chunk in chunks if chunk.path_in_schema == names[one.column])
        if said is not None and said.has_min_max and not said.min <= one.value <= said.max:
            return none
        ids = file.read_row_group(number, columns=[names[one.column]], use_threads=False).column(0)
        found: np.ndarray[Any, Any] = pc.fill_null(pc.equal(ids, one.value), False).to_numpy()
        return found

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
