"""The changes log: reading what it knows of some Ids, and appending to it.

Observations of an Id are ordered by (_window_end, cursor, _extracted_at, _row_hash), whatever order they arrived in.
Data files are pruned by their bounds: every append has one `_window_end` and one `_extracted_at`, so asking for a span
of either reads few files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import And, BooleanExpression
from pyiceberg.manifest import ManifestContent
from pyiceberg.table import Table

from include.lake.data_changes import last_change
from include.lake.data_files import (
    LARGE_FILE_BYTES,
    KeyedFile,
    SortedIds,
    at_least,
    at_most,
    equal_to,
    id_range,
    keyed_files,
    read_file,
    write_files,
)
from include.lake.one_commit import commit_once
from include.lake.tables import arrow_schema
from include.lake.watermark import ERASURE

#: Rows gathered before they are reduced to one an Id: bounds memory by the Ids asked for, not by the log's length.
_GATHER_ROWS = 250_000
_BEFORE_EVERYTHING = -(2**63)


class ChangesLog:
    """A changes log as it was when it was loaded.

    :param table: the loaded table.
    :param cursor: the column that orders observations inside a window.
    """

    def __init__(self, table: Table, cursor: str) -> None:
        self.table = table
        self.order = ("_window_end", cursor, "_extracted_at", "_row_hash")

    @property
    def head(self) -> int | None:
        """The snapshot that last changed its rows; None while it is empty.

        Upkeep puts the same rows into other files. Whoever has seen them before has seen them after.
        """
        return last_change(self.table)

    def last_of(
        self,
        ids: pa.StringArray,
        *,
        columns: Sequence[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> pa.Table:
        """The last observation of each Id, in the order of observations.

        :param ids: sorted; those that the log does not know are missing from the result.
        :param columns: columns wanted beside the ordering ones; all by default.
        :param since: only observations whose `_window_end` is at or after it.
        :param until: only observations whose `_window_end` is at or before it.
        :return: sorted by id.
        """
        span: list[BooleanExpression] = []
        if since is not None:
            span.append(at_least("_window_end", since))
        if until is not None:
            span.append(at_most("_window_end", until))
        wanted = None if columns is None else list(dict.fromkeys(("id", *self.order, *columns)))
        gathered: list[pa.Table] = []
        count = 0
        for rows in self._rows_of(ids, wanted, span):
            gathered.append(rows)
            count += rows.num_rows
            if count > _GATHER_ROWS:
                gathered = [last_per_id(pa.concat_tables(gathered), self.order)]
                count = gathered[0].num_rows
        if not gathered:
            return self._empty(wanted)
        return last_per_id(pa.concat_tables(gathered), self.order)

    def logged_between(self, ids: pa.StringArray, first: datetime, last: datetime, columns: Sequence[str]) -> pa.Table:
        """Observations of some Ids by the time of their extraction, which is what the log is partitioned by.

        :param ids: sorted.
        :param first: earliest `_extracted_at`.
        :param last: latest `_extracted_at`.
        :param columns: which columns, `id` among them.
        """
        span = [at_least("_extracted_at", first), at_most("_extracted_at", last)]
        found = list(self._rows_of(ids, list(columns), span))
        return pa.concat_tables(found) if found else self._empty(columns)

    def in_batch(self, ids: pa.StringArray, run_id: str, extracted_at: datetime) -> pa.Array:
        """Which of some Ids a batch has logged already, in an attempt that did not get to its end.

        :param ids: sorted.
        :param run_id: the batch's run.
        :param extracted_at: the batch's extraction attempt.
        :return: a flag an Id.
        """
        span = [equal_to("_extracted_at", extracted_at), equal_to("_extraction_run_id", run_id)]
        found = list(self._rows_of(ids, ["id"], span))
        logged = pa.concat_tables(found).column("id").combine_chunks() if found else pa.array([], pa.string())
        return pc.is_in(ids, value_set=logged)

    def ids_since(self, snapshot_id: int | None) -> tuple[pa.StringArray, datetime | None, datetime | None]:
        """Ids of the rows that were appended after a snapshot.

        :param snapshot_id: None, or one that has been expired: since the beginning.
        :return: sorted distinct Ids, the earliest and the latest `_window_end` among the rows.
        """
        nothing = pa.array([], pa.string())
        files = self.files_since(snapshot_id)
        found = [read_file(self.table, file, ["id", "_window_end"]) for file in files]
        if not any(rows.num_rows for rows in found):
            return nothing, None, None
        rows = pa.concat_tables(found)
        bounds = pc.min_max(rows.column("_window_end")).as_py()
        return distinct_sorted(rows.column("id")), bounds["min"], bounds["max"]

    def files_since(self, snapshot_id: int | None) -> list[KeyedFile]:
        """The data files that were appended after a snapshot.

        :param snapshot_id: None, or one that has been expired: all of them.
        """
        head = self.table.current_snapshot()
        if head is None or self.head == snapshot_id:
            return []
        base = self.table.snapshot_by_id(snapshot_id) if snapshot_id is not None else None
        after = (base.sequence_number or 0) if base else 0
        paths = {
            entry.data_file.file_path
            for manifest in head.manifests(self.table.io)
            if manifest.content == ManifestContent.DATA and (manifest.sequence_number or 0) > after
            for entry in manifest.fetch_manifest_entry(self.table.io, discard_deleted=True)
            if (entry.sequence_number or 0) > after
        }
        return [file for file in keyed_files(self.table) if file.path in paths]

    def append(self, rows: pa.Table, *, run_id: str, last_look: Callable[[], None] | None = None) -> int | None:
        """Append observations in one commit, provided that nobody has appended or erased since the log was loaded.

        :param rows: in the log's Arrow schema, sorted by id.
        :param run_id: noted in the snapshot's summary.
        :param last_look: called right before the commit; it may raise to stop it.
        :return: the snapshot.
        :raises CommitFailedException: when someone else has; plan again.
        """
        return commit_once(
            self.table,
            added=write_files(self.table, rows, file_bytes=LARGE_FILE_BYTES),
            unmoved=(ERASURE,),
            snapshot_properties={"sf-history.run-id": run_id},
            last_look=last_look,
        )

    def _rows_of(
        self, ids: pa.StringArray, columns: list[str] | None, span: list[BooleanExpression]
    ) -> Iterator[pa.Table]:
        if len(ids) == 0 or self.head is None:
            return
        sorted_ids = SortedIds(ids)
        row_filter = And(id_range(sorted_ids), *span) if span else id_range(sorted_ids)
        for file in keyed_files(self.table, row_filter):
            yield from self._matching(file, sorted_ids, columns, row_filter)

    def _matching(
        self, file: KeyedFile, ids: SortedIds, columns: list[str] | None, row_filter: BooleanExpression
    ) -> Iterator[pa.Table]:
        wanted = ids.ids[ids.within(file.lower, file.upper)]
        if len(wanted) == 0:
            return
        rows = read_file(self.table, file, columns, row_filter)
        rows = rows.filter(pc.is_in(rows.column("id"), value_set=wanted))
        if rows.num_rows:
            yield rows

    def _empty(self, columns: Sequence[str] | None) -> pa.Table:
        schema = arrow_schema(self.table)
        return (schema if columns is None else pa.schema([schema.field(name) for name in columns])).empty_table()


def last_per_id(rows: pa.Table, order: Sequence[str]) -> pa.Table:
    """Of each Id the last row; a missing cursor comes before every other.

    :param rows: several rows an Id, maybe.
    :param order: the columns that order an Id's rows.
    :return: sorted by id.
    """
    keys = pa.table({name: _sortable(rows.column(name)) for name in ("id", *order)})
    rows = rows.take(pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.schema.names]))
    ids = rows.column("id").combine_chunks()
    if len(ids) < 2:
        return rows
    is_last = np.append(pc.not_equal(ids[:-1], ids[1:]).to_numpy(zero_copy_only=False), True)
    return rows.filter(pa.array(is_last))


def _sortable(values: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.int64()).fill_null(_BEFORE_EVERYTHING)
    return values


def distinct_sorted(ids: pa.ChunkedArray) -> pa.StringArray:
    """Ids in ascending order, each once.

    :param ids: any Ids.
    """
    once = pc.unique(ids)
    return once.take(pc.sort_indices(once))
