"""Which snapshots changed a table's rows: compaction puts the same rows into other files, and that is no change.

Who has seen the rows before has seen them.
"""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, ancestors_of

#: In the summary of a compaction: the snapshot that changed the rows last. It holds when that one has been expired.
SAME_ROWS_AS = "sf-history.same-rows-as"
#: Counts of a snapshot's summary that say that rows came or went. One that is zero may be left out.
_ROWS = ("added-records", "deleted-records", "added-delete-files", "removed-delete-files")
#: Counts that show that the engine counts at all.
_OTHERS = ("added-data-files", "deleted-data-files", "total-records")


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


def changed_since(catalog: Catalog, identifier: str, snapshot_id: int | None) -> int | None:
    """The current snapshot of a table, if rows have come or gone since an earlier one.

    Compaction, and a statement that found nothing to do, make snapshots as well: they are no change. Where it cannot be
    told, because the earlier snapshot has expired or an engine counts nothing, it counts as one.

    :param catalog: the Iceberg catalog.
    :param identifier: `namespace.table`.
    :param snapshot_id: the earlier snapshot; None: the table was empty, or is not known of.
    :return: the current snapshot's id; None where nothing has changed, and for a table that is empty or missing.
    """
    try:
        table = catalog.load_table(identifier)
    except NoSuchTableError:
        return None
    current = table.current_snapshot()
    if current is None or last_change(table) == snapshot_id:
        return None
    if not any(_moves_rows(snapshot) for snapshot in _since(table, current, snapshot_id)):
        return None
    return current.snapshot_id


def _since(table: Table, current: Snapshot, snapshot_id: int | None) -> list[Snapshot]:
    """The snapshots after the given one; all that are left where it is not among them."""
    newer: list[Snapshot] = []
    for snapshot in ancestors_of(current, table.metadata):
        if snapshot.snapshot_id == snapshot_id:
            break
        newer.append(snapshot)
    return newer


def _moves_rows(snapshot: Snapshot) -> bool:
    summary = snapshot.summary
    if summary is None:
        return True
    if changes_no_row(snapshot):
        return False
    counts = {name: int(summary.additional_properties.get(name, -1)) for name in (*_ROWS, *_OTHERS)}
    return any(counts[name] > 0 for name in _ROWS) or all(count < 0 for count in counts.values())
