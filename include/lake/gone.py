"""What an engine has found gone, as observations: their hashes are computed here, like all others."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyiceberg.table import Table

from include.config.object_file import ObjectFile
from include.lake.absence import as_deletions
from include.lake.data_files import keyed_files, read_file
from include.lake.engine_statements import Batch

_MOMENT = pa.timestamp("us", tz="UTC")


def deletions_of(gone: Table, *, schema: pa.Schema, batch: Batch, object_file: ObjectFile) -> Iterator[pa.Table]:
    """Observations that records are gone, a file at a time.

    :param gone: the mirror's rows of the Ids that are gone, with `_observed_columns` of their last observations.
    :param schema: the log's.
    :param batch: the run.
    :param object_file: names source columns and cursor.
    """
    given = {
        "_extracted_at": pa.scalar(batch.extracted_at, _MOMENT),
        "_extraction_run_id": pa.scalar(batch.run_id),
        "_change": pa.scalar("delete"),
        "_window_end": pa.scalar(batch.window_end, _MOMENT),
    }
    for file in keyed_files(gone):
        last = read_file(gone, file)
        known = last.column("_observed_columns").fill_null(batch.observed)
        rows = as_deletions(
            last.drop_columns(["_observed_columns"]), known, object_file=object_file, window_end=batch.window_end
        )
        yield pa.table([_values(rows, field, given).cast(field.type) for field in schema], schema=schema)


def _values(rows: pa.Table, field: pa.Field, given: dict[str, pa.Scalar]) -> pa.Array | pa.ChunkedArray:
    if field.name in given:
        return pa.repeat(given[field.name], rows.num_rows)
    return rows.column(field.name) if field.name in rows.schema.names else pa.nulls(rows.num_rows, field.type)
