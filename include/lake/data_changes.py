"""Whether the rows of a table have changed since one of its snapshots."""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Snapshot, ancestors_of

#: Counts of a snapshot's summary that say that rows came or went. One that is zero may be left out.
_ROWS = ("added-records", "deleted-records", "added-delete-files", "removed-delete-files")
#: Counts that show that the engine counts at all.
_OTHERS = ("added-data-files", "deleted-data-files", "total-records")


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
    if current is None or not any(_moves_rows(snapshot) for snapshot in _since(table, current, snapshot_id)):
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
    if summary.operation == Operation.REPLACE:
        return False
    counts = {name: int(summary.additional_properties.get(name, -1)) for name in (*_ROWS, *_OTHERS)}
    return any(counts[name] > 0 for name in _ROWS) or all(count < 0 for count in counts.values())
