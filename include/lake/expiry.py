"""What a table was: snapshots other than the current one, and every file that only they, or nobody, refers to.

Files go first and the snapshots that name them last, so that a crash in between can be made good by doing it again.
(Expiry by age, include/upkeep/history.py, goes the other way round, because its snapshots may be being read.)
Readers that have an older snapshot open fail, and find the table in order when they open it again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from pyiceberg.table import Table, Transaction
from pyiceberg.table.update import RemoveSnapshotsUpdate, SetPropertiesUpdate, TableUpdate

from include.lake.table_files import delete_files, delete_unreferenced, file_key, place_of, snapshot_files
from include.lake.unmoved_properties import AssertRefs, held_by_refs


class HistoryHeld(RuntimeError):
    """A branch or tag holds an old snapshot, so that it cannot be expired."""


@dataclass(frozen=True)
class Expired:
    """What is gone.

    :param snapshots: number of snapshots.
    :param files: number of files.
    """

    snapshots: int
    files: int


def refuse_held_history(table: Table) -> None:
    """Old snapshots can go only if no branch or tag holds one.

    :param table: the loaded table.
    :raises HistoryHeld: naming table and refs.
    """
    if held := sorted(name for name in table.metadata.refs if name != "main"):
        raise HistoryHeld(
            f"{'.'.join(table.name())} has the branches or tags {', '.join(held)}, which hold old snapshots and the "
            "rows in them. Nothing was touched. Drop them (Spark: alter table … drop branch, drop tag), then ask again."
        )


def expire_history(table: Table, *, unreferenced_before: datetime | None) -> Expired:
    """Leave a table its current snapshot and nothing else.

    :param table: the loaded table.
    :param unreferenced_before: files in the table's folder that nobody refers to go as well if they are older than
        this: a writer that was killed left them, or one that will lose its race. None: they stay.
    :raises CommitFailedException: when someone else commits meanwhile; load it and try again.
    """
    current = table.current_snapshot()
    old = [one for one in table.snapshots() if current is None or one.snapshot_id != current.snapshot_id]
    kept = _referenced(table)
    gone = 0
    for names in snapshot_files(table, table.snapshots()):
        gone += delete_files(table, [name for name in sorted(names) if file_key(name) not in kept])
    # By name: the list of earlier metadata files goes on naming some of them, and no more than that.
    superseded = {entry.metadata_file for entry in table.metadata.metadata_log}
    before = table.metadata_location
    forget_snapshots(table, [one.snapshot_id for one in old])
    superseded |= {before, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    gone += delete_files(table, sorted(superseded - {table.metadata_location}))
    if unreferenced_before is not None:
        table.refresh()
        known = _referenced(table) | {file_key(table.metadata_location)}
        gone += len(delete_unreferenced(table, known=known, before=unreferenced_before))
    return Expired(snapshots=len(old), files=gone)


def forget_snapshots(
    table: Table, snapshot_ids: Collection[int], *, properties: Mapping[str, str] | None = None
) -> None:
    """Take snapshots out of a table's metadata, in one commit. Their files stay.

    What pyiceberg's `expire_snapshots()` commits, with two differences: it copies all metadata for each snapshot, and
    it does not notice a branch or tag that was made meanwhile.

    :param table: the loaded table; it is refreshed by the commit.
    :param snapshot_ids: none of them is current, or held by a branch or tag.
    :param properties: table properties to set in the same commit.
    :raises CommitFailedException: when a branch or tag has come, gone or moved; load the table and try again.
    """
    if not snapshot_ids and not properties:
        return
    transaction = Transaction(table)
    updates: list[TableUpdate] = []
    if snapshot_ids:
        updates.append(RemoveSnapshotsUpdate(snapshot_ids=list(snapshot_ids)))
    if properties:
        updates.append(SetPropertiesUpdate(updates=dict(properties)))
    unmoved = AssertRefs(held=held_by_refs(table.metadata))
    transaction._apply(tuple(updates), (unmoved,))  # type: ignore[arg-type]
    transaction.commit_transaction()


def written_at(table: Table) -> datetime | None:
    """When the table's current metadata was written, by the store's own clock.

    :param table: the loaded table.
    """
    filesystem, path = place_of(table, table.metadata_location)
    moment: datetime | None = filesystem.get_file_info(path).mtime
    return moment


def _referenced(table: Table) -> set[str]:
    """Files that the current snapshot needs. What it says is deleted is not among them."""
    current = table.current_snapshot()
    return snapshot_files(table, [current] if current else [], live_only=True).keys
