"""Snapshots that change no row: upkeep puts the same rows into other files. Who has seen them before has seen them."""

from __future__ import annotations

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot

#: In the summary of a compaction: the snapshot that changed the rows last. It holds when that one has been expired.
SAME_ROWS_AS = "sf-history.same-rows-as"


def changes_no_row(snapshot: Snapshot) -> bool:
    """Whether a snapshot has the rows of the one before it, in other files; also one that another engine made.

    :param snapshot: of any table.
    """
    return snapshot.summary is not None and snapshot.summary.operation == Operation.REPLACE


def last_change(table: Table) -> int | None:
    """Id of the snapshot that changed a table's rows last, which may have been expired; None while it has none.

    :param table: the loaded table.
    """
    snapshot = table.current_snapshot()
    while snapshot is not None and changes_no_row(snapshot):
        if snapshot.summary and (said := snapshot.summary[SAME_ROWS_AS]):
            return int(said)
        if snapshot.parent_snapshot_id is None:
            break
        before = table.snapshot_by_id(snapshot.parent_snapshot_id)
        if before is None:
            return snapshot.parent_snapshot_id
        snapshot = before
    return snapshot.snapshot_id if snapshot else None
