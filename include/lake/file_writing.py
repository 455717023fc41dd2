"""Writing data files of a table, a row group at a time: no more than two of them are held.

A dictionary is kept of columns in which values recur, and of no other: building one of Ids and hashes, which never
recur, only to find it too large takes as long as all the rest of the writing. For tables with columns of other types
than ours, and for rows of several partitions, pyiceberg writes.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    _dataframe_to_data_files,
    _determine_partitions,
    _get_parquet_writer_kwargs,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import PartitionKey
from pyiceberg.schema import sanitize_column_names
from pyiceberg.table import Table
from pyiceberg.table.locations import load_location_provider
from pyiceberg.typedef import Record

from include.lake.file_reading import PIECE_BYTES, PIECE_VALUES
from include.lake.tables import ICEBERG_TYPES, arrow_schema

#: Rows that are looked at to tell whether values of a column recur.
_SAMPLE_ROWS = 8_192
#: A dictionary is kept if at most this share of the values looked at are distinct.
_RECURRING = 0.5
_ROW_GROUP_LIMIT = "write.parquet.row-group-limit"


@dataclass(frozen=True)
class _Partition:
    """The partition of a file that is there, as a place for another one."""

    table: Table
    partition: Record

    def to_path(self) -> str:
        return self.table.spec().partition_to_path(self.partition, self.table.schema())


class DataFileWriter:
    """Writes data files for one commit.

    :param table: the loaded table.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self._metadata = table.metadata

    def write(self, pieces: Iterable[pa.Table], *, like: DataFile | None = None) -> list[DataFile]:
        """Write a file, in the order given; nothing refers to it before a commit does.

        :param pieces: in the table's Arrow schema.
        :param like: a file that held rows with the same Ids, whose partition may be theirs.
        :return: none if there is no row; several if pyiceberg writes.
        """
        groups = _groups(pieces, self._group_rows)
        first = next(groups, None)
        if first is None:
            return []
        spec = self._metadata.spec()
        if self._is_plain and spec.is_unpartitioned():
            return [self._written(first, groups, None)]
        if self._is_plain and like is not None and like.spec_id == spec.spec_id and self._by_id_alone:
            return [self._written(first, groups, _Partition(self.table, like.partition))]
        rows = pa.concat_tables([first, *groups])
        key = self._one_partition(rows) if self._is_plain else None
        if key is not None:
            return [self._written(rows, iter(()), key)]
        return list(_dataframe_to_data_files(self._metadata, rows, self.table.io, write_uuid=uuid.uuid4()))

    @cached_property
    def _is_plain(self) -> bool:
        """Whether all columns have types and names that need no translation."""
        schema = self.table.schema()
        known = set(ICEBERG_TYPES.values())
        return (
            all(field.field_type in known for field in schema.fields)
            and sanitize_column_names(schema) == schema
            and self._metadata.properties.get("write.format.default", "parquet") == "parquet"
        )

    @cached_property
    def _by_id_alone(self) -> bool:
        """Whether a row stays in its partition as long as its Id does not change, which it never does."""
        schema = self.table.schema()
        return all(schema.find_column_name(field.source_id) == "id" for field in self._metadata.spec().fields)

    @cached_property
    def _schema(self) -> pa.Schema:
        return pa.schema(
            [
                field.with_metadata({"PARQUET:field_id": str(self.table.schema().find_field(field.name).field_id)})
                for field in arrow_schema(self.table)
            ]
        )

    @cached_property
    def _group_rows(self) -> int:
        most = int(self._metadata.properties.get(_ROW_GROUP_LIMIT, PIECE_VALUES))
        return max(1, min(most, PIECE_VALUES // len(self._schema)))

    def _one_partition(self, rows: pa.Table) -> PartitionKey | None:
        """The partition, where all rows have the same value in the columns that decide on it."""
        spec, schema = self._metadata.spec(), self.table.schema()
        sources = [schema.find_column_name(field.source_id) for field in spec.fields]
        if any(name is None or len(pc.unique(rows.column(name))) > 1 for name in sources):
            return None
        [one] = _determine_partitions(spec=spec, schema=schema, arrow_table=rows.slice(0, 1))
        return cast("PartitionKey", one.partition_key)

    def _written(self, first: pa.Table, others: Iterator[pa.Table], key: PartitionKey | _Partition | None) -> DataFile:
        metadata = self._metadata
        provider = load_location_provider(metadata.location, metadata.properties)
        location = provider.new_data_location(f"00000-0-{uuid.uuid4()}.parquet", cast("PartitionKey | None", key))
        output = self.table.io.new_output(location)
        with output.create(overwrite=True) as stream:
            with pq.ParquetWriter(
                stream,
                self._schema,
                use_dictionary=_recurring(first),
                store_decimal_as_integer=True,
                **_get_parquet_writer_kwargs(metadata.properties),
            ) as writer:
                for rows in itertools.chain([first], others):
                    writer.write_table(rows.cast(self._schema), row_group_size=self._group_rows)
            statistics = data_file_statistics_from_parquet_metadata(
                parquet_metadata=writer.writer.metadata,
                stats_columns=compute_statistics_plan(self.table.schema(), metadata.properties),
                parquet_column_mapping=parquet_path_to_id_mapping(self.table.schema()),
            )
        return DataFile.from_args(
            content=DataFileContent.DATA,
            file_path=location,
            file_format=FileFormat.PARQUET,
            partition=key.partition if key is not None else Record(),
            file_size_in_bytes=len(output),
            sort_order_id=None,
            spec_id=metadata.default_spec_id,
            equality_ids=None,
            key_metadata=None,
            **statistics.to_serialized_dict(),
        )


def _groups(pieces: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Small pieces joined until they fill a row group."""
    waiting: list[pa.Table] = []
    for piece in pieces:
        waiting.append(piece)
        if sum(one.num_rows for one in waiting) >= rows or sum(one.nbytes for one in waiting) >= PIECE_BYTES:
            yield pa.concat_tables(waiting)
            waiting = []
    if any(one.num_rows for one in waiting):
        yield pa.concat_tables(waiting)


def _recurring(rows: pa.Table) -> list[str]:
    """Columns whose values recur, as far as a sample tells."""
    size = min(rows.num_rows, _SAMPLE_ROWS)
    sample = rows.slice((rows.num_rows - size) // 2, size)
    return [
        name
        for name, values in zip(sample.schema.names, sample.columns, strict=True)
        if pc.count_distinct(values).as_py() <= _RECURRING * (size - values.null_count)
    ]
