"""Reading one data file in pieces.

Most files have just the columns that the table has, and no delete files: Parquet reads those by itself, a piece at a
time, in this thread. For any other (columns added or widened since, position deletes left by another engine, a filter)
pyiceberg's own scan of one file knows what to do; it takes twice the CPU, and more memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.manifest import FileFormat
from pyiceberg.table import FileScanTask, Table

from include.lake.tables import arrow_schema

#: Values of a piece, whatever the number of columns: 32,768 rows of a narrow table, 4 MB or so.
PIECE_VALUES = 393_216
#: Bytes of a piece, where its texts are long.
PIECE_BYTES = 16 * 1024 * 1024
_FIELD_ID = b"PARQUET:field_id"
_TEXTS = (pa.string(), pa.large_string())


def read_pieces(
    table: Table,
    task: FileScanTask,
    columns: Sequence[str] | None = None,
    row_filter: BooleanExpression | None = None,
) -> Iterator[pa.Table]:
    """The live rows of one data file, in the order they have there.

    :param table: the loaded table.
    :param task: the file, and what is deleted in it.
    :param columns: which columns; all by default.
    :param row_filter: only rows that match.
    :return: tables in the table's Arrow schema, in the order of `columns`; none is empty.
    """
    wanted = arrow_schema(table)
    if columns is not None:
        wanted = pa.schema([wanted.field(name) for name in columns])
    if row_filter is None and not task.delete_files and task.file.file_format == FileFormat.PARQUET:
        with table.io.new_input(task.file.file_path).open() as stream, pq.ParquetFile(stream, pre_buffer=True) as file:
            names = names_in(file.schema_arrow, wanted, table)
            if names is not None and len(names) == len(wanted):
                yield from _plain(file, list(names.values()), wanted)
                return
    yield from _scanned(table, task, wanted, row_filter or AlwaysTrue())


def names_in(found: pa.Schema, wanted: pa.Schema, table: Table) -> dict[str, str] | None:
    """What the wanted columns are called in a file, by their field ids.

    :param found: the file's schema.
    :param wanted: the columns, as the table has them.
    :param table: the loaded table.
    :return: wanted column → name in the file, without those that it lacks; None if one has another type there.
    """
    by_id = {(field.metadata or {}).get(_FIELD_ID): field for field in found}
    names = {}
    for field in wanted:
        there = by_id.get(str(table.schema().find_field(field.name).field_id).encode())
        if there is None:
            continue
        if there.type != field.type and not (there.type in _TEXTS and field.type in _TEXTS):
            return None
        names[field.name] = there.name
    return names


def _plain(file: pq.ParquetFile, names: list[str], wanted: pa.Schema) -> Iterator[pa.Table]:
    for number in range(file.num_row_groups):  # one at a time: what is fetched ahead is a row group
        group = file.metadata.row_group(number)
        by_bytes = PIECE_BYTES * group.num_rows // max(1, group.total_byte_size)
        piece_rows = max(1, min(PIECE_VALUES // len(names), by_bytes))
        for batch in file.iter_batches(piece_rows, row_groups=[number], columns=names, use_threads=False):
            if batch.num_rows:
                yield pa.table([batch.column(name) for name in names], wanted.names).cast(wanted)


def _scanned(table: Table, task: FileScanTask, wanted: pa.Schema, row_filter: BooleanExpression) -> Iterator[pa.Table]:
    schema = table.schema().select(*wanted.names)
    for batch in ArrowScan(table.metadata, table.io, schema, row_filter).to_record_batches([task]):
        yield pa.Table.from_batches([batch.select(wanted.names).cast(wanted)], wanted)
