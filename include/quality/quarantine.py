"""The quarantine table: records that were refused, with their reasons, kept per run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import tenacity
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField, StringType, TimestamptzType

from include.lake.data_files import discard, equal_to, keyed_files, read_file, write_files
from include.lake.erased import ErasedIds
from include.lake.one_commit import commit_once
from include.lake.watermark import ERASURE
from include.staging import store

log = logging.getLogger(__name__)

SCHEMA = Schema(
    NestedField(1, "id", StringType(), doc="Id of the record, as Salesforce sent it"),
    NestedField(2, "record", StringType(), doc="the record as JSON, source columns only"),
    NestedField(3, "reasons", StringType(), doc="why it was refused, in words"),
    NestedField(4, "_extraction_run_id", StringType(), doc="run that read it"),
    NestedField(5, "_quarantined_at", TimestamptzType(), doc="when it was put here"),
)

_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "snappy",
    # A run's rows are found by the bounds of its id, which Iceberg would cut off after 16 characters.
    "write.metadata.metrics.column._extraction_run_id": "full",
}

#: Commits tried before a conflict is given up.
MOST_ATTEMPTS = 8
#: Rejects held in memory at a time.
_BATCH_ROWS = 50_000

_RUN, _AT = "_extraction_run_id", "_quarantined_at"
_CONTENT = ["id", "record", "reasons"]
_ORDER = [(name, "ascending") for name in _CONTENT]


def write_quarantine(
    *,
    catalog: Catalog,
    table_name: str,
    reject_files: Sequence[str],
    run_id: str,
    quarantined_at: datetime,
    erased: Callable[[], ErasedIds] | None = None,
) -> int:
    """Make the quarantine hold exactly these rejects for a run, in one commit. A repeat writes nothing.

    :param catalog: an Iceberg catalog.
    :param table_name: `namespace.table`; made if it is not there, so that an empty quarantine can be asked too.
    :param reject_files: from `Validation`; none: the run has no rejects, and older ones of the same run are removed.
    :param run_id: Airflow's run id.
    :param quarantined_at: time to note, UTC.
    :param erased: reads which records must not come in; asked anew on every attempt, after the table was loaded.
    :return: rows written; 0 when nothing had to be.
    """

    def overtaken(problem: BaseException) -> bool:
        if isinstance(problem, FileNotFoundError):  # of the table, which an erasure has cleaned meanwhile?
            return all(store.exists(uri) for uri in reject_files)
        return isinstance(problem, CommitFailedException | ValidationException)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(overtaken),
        stop=tenacity.stop_after_attempt(MOST_ATTEMPTS),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
        reraise=True,
    )

    # Loaded anew on every attempt: a conflict means that the metadata at hand is old.
    def attempt() -> int:
        table = _load(catalog, table_name)
        rejects = _Rejects(reject_files, erased() if erased else None)
        return _replace(table, rejects, run_id, quarantined_at)

    written: int = retrying(attempt)
    if written:
        log.info("%s record(s) of run %s put into %s", f"{written:,}", run_id, table_name)
    return written


class _Rejects:
    """The rejects of a run that may be kept."""

    def __init__(self, files: Sequence[str], erased: ErasedIds | None) -> None:
        self._files, self._erased = files, erased

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        for batch in store.read_batches(self._files, columns, batch_rows=_BATCH_ROWS):
            yield self._erased.without(batch) if self._erased else batch


def _replace(table: Table, rejects: _Rejects, run_id: str, quarantined_at: datetime) -> int:
    replaced: list[DataFile] = []
    held: list[pa.Table] = []
    others: list[pa.Table] = []
    for file in keyed_files(table, equal_to(_RUN, run_id)):
        rows = read_file(table, file)
        ours = pc.equal(rows.column(_RUN), run_id)
        if pc.any(ours).as_py():
            replaced.append(file.task.file)
            held.append(rows.filter(ours).select(_CONTENT))
            others.append(rows.filter(pc.invert(ours)))
    if _same(held, rejects):
        return 0
    added: list[DataFile] = []
    written = 0
    try:
        for rest in others:
            added += write_files(table, rest)
        for batch in rejects.batches():
            if batch.num_rows == 0:
                continue
            rows = pa.Table.from_batches([batch]).sort_by(_ORDER)
            rows = rows.append_column(_RUN, pa.repeat(pa.scalar(run_id), len(rows)))
            moment = pa.scalar(quarantined_at, type=pa.timestamp("us", tz="UTC"))
            added += write_files(table, rows.append_column(_AT, pa.repeat(moment, len(rows))))
            written += len(rows)
    except BaseException:
        discard(table, added)
        raise
    commit_once(
        table,
        added=added,
        removed=replaced,
        unmoved=(ERASURE,),
        snapshot_properties={"sf-history.run-id": run_id},
    )
    return written


def _same(held: Sequence[pa.Table], rejects: _Rejects) -> bool:
    rows = sum(part.num_rows for part in held)
    if rows != sum(batch.num_rows for batch in rejects.batches(["id"])):
        return False
    if rows == 0:
        return True
    wanted = pa.Table.from_batches(rejects.batches(_CONTENT))
    return _sorted(pa.concat_tables(held)).equals(_sorted(wanted))


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pc.sort_indices(table, sort_keys=_ORDER)).combine_chunks()


def _load(catalog: Catalog, table_name: str) -> Table:
    try:
        return catalog.load_table(table_name)
    except NoSuchTableError:
        _ensure_namespace(catalog, table_name.rpartition(".")[0])
        return catalog.create_table_if_not_exists(table_name, schema=SCHEMA, properties=_PROPERTIES)


def _ensure_namespace(catalog: Catalog, namespace: str) -> None:
    try:
        catalog.create_namespace_if_not_exists(namespace)
    except Exception:
        # SqlCatalog lets the database's own error through when two create the same one at once.
        if not catalog.namespace_exists(namespace):
            raise
