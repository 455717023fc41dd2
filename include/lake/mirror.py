"""The mirror: the last observation of each Id. What the log has and the mirror lacks is applied first."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from include.lake.changes_log import ChangesLog
from include.lake.copy_on_write import merge
from include.lake.data_files import FILE_BYTES, SortedIds
from include.lake.placement import locate
from include.lake.tables import arrow_schema
from include.lake.watermark import (
    APPLIED_CHANGES_SNAPSHOT,
    NEWEST_WINDOW_END,
    STATE_PROPERTIES,
    LakeState,
    later_of,
    written,
)

log = logging.getLogger(__name__)

_IDENTITY = ("_extracted_at", "_extraction_run_id", "_row_hash")


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What the mirror took over from the log.

    :param own_inserted: rows new in the mirror that the asking batch had logged.
    :param own_updated: rows that changed, of the asking batch.
    :param others: rows of other batches.
    """

    own_inserted: int
    own_updated: int
    others: int


def apply_log(
    mirror: Table,
    changes: ChangesLog,
    state: LakeState,
    *,
    run_id: str,
    extracted_at: datetime,
    file_bytes: int = FILE_BYTES,
) -> Recovered | None:
    """Bring the mirror up to the log's current snapshot, if it is behind: a run was interrupted, or is still at it.

    For each Id that was logged since, the last observation is looked up in the log and put in the mirror. Doing so
    twice changes nothing, and it does not matter who does it.

    :param mirror: the loaded table.
    :param changes: the log, loaded after the mirror.
    :param state: what the mirror remembers.
    :param run_id: with `extracted_at`, the batch that asks.
    :param extracted_at: see `run_id`.
    :param file_bytes: bytes of Arrow at which a data file is split.
    :return: None if the mirror was up to date.
    :raises CommitFailedException: when someone else has committed to the mirror; load it again.
    """
    head = changes.head
    if head is None or head == state.applied_changes_snapshot:
        return None
    ids, oldest, newest = changes.ids_since(state.applied_changes_snapshot)
    schema = arrow_schema(mirror)
    last = changes.last_of(ids, since=oldest)
    placement = locate(mirror, SortedIds(last.column("id").combine_chunks()), ("id", *_IDENTITY))
    differs = ~placement.known
    for name in _IDENTITY:
        kind = schema.field(name).type
        same = pc.equal(last.column(name).cast(kind), placement.values(name).cast(kind)).fill_null(False)
        differs |= ~same.to_numpy().astype(np.bool_)
    rows = last.filter(pa.array(differs)).select(schema.names).cast(schema)
    placement = placement.only(differs)
    newest_end = later_of(state.newest_window_end, newest)
    merged = merge(
        mirror,
        rows,
        placement,
        properties={
            APPLIED_CHANGES_SNAPSHOT: str(head),
            **({NEWEST_WINDOW_END: written(newest_end)} if newest_end else {}),
        },
        unmoved=STATE_PROPERTIES,
        snapshot_properties={"sf-history.run-id": run_id},
        file_bytes=file_bytes,
    )
    own = pc.and_(
        pc.equal(rows.column("_extraction_run_id"), run_id),
        pc.equal(rows.column("_extracted_at"), pa.scalar(extracted_at, schema.field("_extracted_at").type)),
    )
    own_flags = own.fill_null(False).to_numpy().astype(np.bool_)
    if rows.num_rows:
        log.info(
            "%s: applied %d observations that the log had and the mirror lacked (%d new rows)",
            ".".join(mirror.name()),
            rows.num_rows,
            merged.inserted,
        )
    return Recovered(
        own_inserted=int((own_flags & ~placement.known).sum()),
        own_updated=int((own_flags & placement.known).sum()),
        others=int((~own_flags).sum()),
    )
