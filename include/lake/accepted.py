"""The accepted records of a run: first their Ids and hashes, then only the rows that turn out to say something new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from include.lake.data_files import SortedIds
from include.lake.row_hash import row_hashes
from include.staging.store import read_batches

#: Rows of staged Parquet handled at a time.
_BATCH_ROWS = 65_536
_MOMENT = pa.timestamp("us", tz="UTC")


class RepeatedIds(ValueError):
    """Validated files hold an Id more than once: they were not made by validate, or are damaged."""

    @classmethod
    def found(cls, table: str, ids: Sequence[str]) -> RepeatedIds:
        """The error, with some of the Ids.

        :param table: the object's table.
        :param ids: Ids that are there more than once.
        """
        return cls(
            f"{table}: the validated files hold some Ids more than once ({', '.join(ids[:5])}), so that it is not "
            "known which record is the last. Clear the validate task and let it run again."
        )


@dataclass(frozen=True)
class AcceptedKeys:
    """What is held of every accepted record; all in the order of `ids`.

    :param ids: sorted.
    :param hashes: `_row_hash` of each.
    :param cursors: cursor of each (UTC).
    :param within: whether the cursor lies before the window's end. The others prove presence and are not logged.
    :param staged_at: position of each in the staged files.
    :param staged_rows: rows of the staged files, those included that are not held.
    """

    ids: SortedIds
    hashes: pa.Array
    cursors: pa.Array
    within: npt.NDArray[np.bool_]
    staged_at: npt.NDArray[np.int64]
    staged_rows: int

    def without(self, left_out: pa.Array) -> AcceptedKeys:
        """All but some.

        :param left_out: a flag for each of `ids`.
        """
        kept = pc.invert(left_out)
        mask = kept.to_numpy(zero_copy_only=False)
        return AcceptedKeys(
            ids=SortedIds(self.ids.ids.filter(kept)),
            hashes=self.hashes.filter(kept),
            cursors=self.cursors.filter(kept),
            within=self.within[mask],
            staged_at=self.staged_at[mask],
            staged_rows=self.staged_rows,
        )


def read_keys(
    files: Sequence[str], *, columns: Sequence[str], cursor: str, window_end: datetime, table: str
) -> AcceptedKeys:
    """Read every accepted record once, keep its Id, cursor and hash.

    :param files: URIs of the validated Parquet.
    :param columns: the source columns.
    :param cursor: name of the cursor column.
    :param window_end: cursors at or after it belong to the next window; a missing cursor lies before it.
    :param table: the object's table, for the message.
    :raises RepeatedIds: with some of them.
    """
    ids, hashes, cursors = [], [], []
    for batch in read_batches(files, batch_rows=_BATCH_ROWS):
        ids.append(batch.column("id").cast(pa.string()))
        cursors.append(batch.column(cursor).cast(_MOMENT))
        hashes.extend(row_hashes(batch, columns).chunks)
    id_array = _joined(ids, pa.string())
    order = pc.sort_indices(id_array)
    id_array = id_array.take(order)
    repeated = pc.equal(id_array[1:], id_array[:-1])
    if pc.any(repeated).as_py():
        raise RepeatedIds.found(table, pc.unique(id_array[1:].filter(repeated)).to_pylist())
    cursor_array = _joined(cursors, _MOMENT).take(order)
    within = pc.less(cursor_array, pa.scalar(window_end, _MOMENT)).fill_null(True)
    return AcceptedKeys(
        ids=SortedIds(id_array),
        hashes=_joined(hashes, pa.string()).take(order),
        cursors=cursor_array,
        within=within.to_numpy(zero_copy_only=False),
        staged_at=order.to_numpy().astype(np.int64),
        staged_rows=len(id_array),
    )


def read_rows(files: Sequence[str], keys: AcceptedKeys, wanted: npt.NDArray[np.bool_], schema: pa.Schema) -> pa.Table:
    """Read the records that are wanted, in the order of their Ids.

    :param files: the same files as for the keys.
    :param keys: from `read_keys`.
    :param wanted: a flag for each of `keys.ids`.
    :param schema: source columns and their types; one that the files lack is null.
    """
    by_position = np.zeros(keys.staged_rows, np.bool_)
    by_position[keys.staged_at[wanted]] = True
    found, start = [], 0
    if wanted.any():
        for batch in read_batches(files, batch_rows=_BATCH_ROWS):
            chosen = by_position[start : start + batch.num_rows]
            start += batch.num_rows
            if chosen.any():
                found.append(conformed(batch.filter(pa.array(chosen)), schema))
    rows = pa.Table.from_batches(found, schema)
    return rows.take(pc.sort_indices(rows.column("id"))) if rows.num_rows else rows


def read_ids(files: Sequence[str]) -> pa.StringArray:
    """Ids of the records that are there but were rejected.

    :param files: URIs of Parquet with a column `id`.
    """
    return _joined([batch.column("id").cast(pa.string()) for batch in read_batches(files, ["id"])], pa.string())


def conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A batch of a staged file as the table has it.

    :param batch: of a staged file.
    :param schema: source columns and their types; one that the batch lacks is null.
    """
    present = set(batch.schema.names)
    return pa.RecordBatch.from_arrays(
        [
            batch.column(field.name).cast(field.type) if field.name in present else pa.nulls(len(batch), field.type)
            for field in schema
        ],
        schema=schema,
    )


def _joined(chunks: list[pa.Array], kind: pa.DataType) -> pa.Array:
    return pa.concat_arrays(chunks) if chunks else pa.array([], kind)
