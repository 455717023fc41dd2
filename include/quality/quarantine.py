"""Writing the quarantine: a run's rejects exactly once, and which of them have been replayed."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from include.lake.conflicts import again, is_conflict
from include.lake.data_files import discard, equal_to, keyed_files, read_file, write_files
from include.lake.erased import ErasedIds
from include.lake.one_commit import commit_once
from include.lake.tables import arrow_schema
from include.lake.watermark import ERASURE
from include.quality.quarantine_table import Origin, fingerprints, open_quarantine
from include.staging import store

log = logging.getLogger(__name__)

#: Commits tried before a conflict is given up.
MOST_ATTEMPTS = 8
#: Rejects held in memory at a time.
_BATCH_ROWS = 50_000

_RUN, _AT, _REPLAYED = "_extraction_run_id", "_quarantined_at", "_replayed_at"
_CONTENT = ["id", "record", "reasons"]
#: What an earlier attempt of the same run must agree in, besides the records.
_PLACE = ["_window_end", "_observed_columns", "_org_id"]
_ORDER = [(name, "ascending") for name in _CONTENT]
_MOMENT = pa.timestamp("us", tz="UTC")


def write_quarantine(
    *,
    catalog: Catalog,
    table_name: str,
    reject_files: Sequence[str],
    origin: Origin,
    quarantined_at: datetime,
    erased: Callable[[], ErasedIds] | None = None,
) -> int:
    """Make the quarantine hold exactly these rejects for a run, in one commit. A repeat writes nothing.

    Rows that have been replayed and are refused again stay as they are.

    :param catalog: an Iceberg catalog.
    :param table_name: `namespace.table`; made if it is not there, so that an empty quarantine can be asked too.
    :param reject_files: from `Validation`; none: the run has no rejects, and older ones of the same run are removed.
    :param origin: of the run that read them.
    :param quarantined_at: time to note, UTC.
    :param erased: reads which records must not come in; asked anew on every attempt, after the table was loaded.
    :return: rows written; 0 when nothing had to be.
    :raises LayoutTooNew: when a later release has changed the table.
    """

    # Loaded anew on every attempt: a conflict means that the metadata at hand is old.
    def attempt() -> int:
        table = open_quarantine(catalog, table_name)
        return _replace(table, _Rejects(reject_files, erased() if erased else None), origin, quarantined_at)

    written = _retried(attempt, reads=reject_files)
    if written:
        log.info("%s record(s) of run %s put into %s", f"{written:,}", origin.run_id, table_name)
    return written


def mark_replayed(*, catalog: Catalog, table_name: str, marked: Collection[bytes], replayed_at: datetime) -> int:
    """Note in one commit that rows have been replayed; those that are marked already stay as they are.

    :param catalog: an Iceberg catalog.
    :param table_name: `namespace.table`.
    :param marked: `fingerprints` of the rows.
    :param replayed_at: time to note, UTC.
    :return: rows that were marked now.
    """
    if not marked:
        return 0
    return _retried(lambda: _mark(open_quarantine(catalog, table_name), marked, replayed_at))


def _retried(act: Callable[[], int], *, reads: Sequence[str] = ()) -> int:
    def overtaken(problem: BaseException) -> bool:
        if isinstance(problem, FileNotFoundError):  # of the table, which an erasure has cleaned meanwhile?
            return all(store.exists(uri) for uri in reads)
        return is_conflict(problem)

    return again(overtaken, attempts=MOST_ATTEMPTS)(act)()


class _Rejects:
    """The rejects of a run that may be kept."""

    def __init__(self, files: Sequence[str], erased: ErasedIds | None) -> None:
        self._files, self._erased = files, erased

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        for batch in store.read_batches(self._files, columns, batch_rows=_BATCH_ROWS):
            yield self._erased.without(batch) if self._erased else batch


def _replace(table: Table, rejects: _Rejects, origin: Origin, quarantined_at: datetime) -> int:
    replaced: list[DataFile] = []
    found: list[pa.Table] = []
    others: list[pa.Table] = []
    for file in keyed_files(table, equal_to(_RUN, origin.run_id)):
        rows = read_file(table, file)
        ours = pc.equal(rows.column(_RUN), origin.run_id)
        if pc.any(ours).as_py():
            replaced.append(file.task.file)
            found.append(rows.filter(ours))
            others.append(rows.filter(pc.invert(ours)))
    schema = arrow_schema(table)
    held = pa.concat_tables([schema.empty_table(), *found])
    if _same(held, rejects, origin):
        return 0
    settled = _Settled(held.filter(pc.is_valid(held.column(_REPLAYED))))
    added: list[DataFile] = []
    written = 0
    try:
        for rest in others:
            added += write_files(table, rest)
        for batch in rejects.batches():
            if batch.num_rows == 0:
                continue
            rows = settled.put_back(_as_rows(batch, origin, quarantined_at, schema)).sort_by(_ORDER)
            added += write_files(table, rows)
            written += len(rows)
    except BaseException:
        discard(table, added)
        raise
    commit_once(
        table,
        added=added,
        removed=replaced,
        unmoved=(ERASURE,),
        snapshot_properties={"sf-history.run-id": origin.run_id},
    )
    return written


class _Settled:
    """Rows of a run that have been replayed: they take the place of new ones with the same content."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._waiting: dict[tuple[str | None, ...], list[int]] = defaultdict(list)
        for number, row in enumerate(rows.select(_CONTENT).to_pylist()):
            self._waiting[tuple(row.values())].append(number)

    def put_back(self, rows: pa.Table) -> pa.Table:
        """Rows with those replaced that were here before."""
        if not self._waiting:
            return rows
        chosen = []
        for number, row in enumerate(rows.select(_CONTENT).to_pylist()):
            waiting = self._waiting.get(tuple(row.values()))
            chosen.append(rows.num_rows + waiting.pop() if waiting else number)
        return pa.concat_tables([rows, self._rows]).take(pa.array(chosen, pa.int64()))


def _as_rows(batch: pa.RecordBatch, origin: Origin, quarantined_at: datetime, schema: pa.Schema) -> pa.Table:
    values = {
        _RUN: origin.run_id,
        _AT: quarantined_at,
        "_extracted_at": origin.extracted_at,
        "_window_end": origin.window_end,
        "_observed_columns": origin.observed_columns,
        "_org_id": origin.org_id,
        _REPLAYED: None,
    }
    return pa.table(
        [
            batch.column(field.name)
            if field.name in _CONTENT
            else pa.repeat(pa.scalar(values[field.name], field.type), len(batch))
            for field in schema
        ],
        schema=schema,
    )


def _same(held: pa.Table, rejects: _Rejects, origin: Origin) -> bool:
    if held.num_rows != sum(batch.num_rows for batch in rejects.batches(["id"])):
        return False
    if held.num_rows == 0:
        return True
    waiting = held.filter(pc.is_null(held.column(_REPLAYED))).select(_PLACE).group_by(_PLACE).aggregate([])
    place = (origin.window_end, origin.observed_columns, origin.org_id)
    if any(tuple(row[name] for name in _PLACE) != place for row in waiting.to_pylist()):
        return False
    wanted = pa.Table.from_batches(rejects.batches(_CONTENT))
    return _sorted(held.select(_CONTENT)).equals(_sorted(wanted))


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pc.sort_indices(table, sort_keys=_ORDER)).combine_chunks()


def _mark(table: Table, marked: Collection[bytes], replayed_at: datetime) -> int:
    removed: list[DataFile] = []
    added: list[DataFile] = []
    count = 0
    try:
        for file in keyed_files(table):
            rows = read_file(table, file)
            hit = pa.array([one in marked for one in fingerprints(rows)], pa.bool_())
            hit = pc.and_(hit, pc.is_null(rows.column(_REPLAYED)).combine_chunks())
            if found := pc.sum(hit).as_py():
                count += found
                removed.append(file.task.file)
                position = rows.schema.get_field_index(_REPLAYED)
                now = pc.if_else(hit, pa.scalar(replayed_at, _MOMENT), rows.column(_REPLAYED))
                added += write_files(table, rows.set_column(position, rows.schema.field(position), now))
    except BaseException:
        discard(table, added)
        raise
    if removed:
        commit_once(table, added=added, removed=removed, unmoved=(ERASURE,))
    return count
