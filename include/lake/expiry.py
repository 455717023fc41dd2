"""What a table was: snapshots other than the current one, and every file that only they, or nobody, refers to.

Files go first and the snapshots that name them last, so that a crash in between can be made good by doing it again. (The
expiry by age, include/upkeep/history.py, goes the other way round: its snapshots are still being read.)
Readers that have an older snapshot open fail, and find the table in order when they open it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pyiceberg.table import Table
from pyiceberg.table.update.snapshot import ExpireSnapshots

from include.lake.table_files import delete_files, delete_unreferenced, file_key, snapshot_files
from include.staging.store import open_location


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
    _expire(table, [one.snapshot_id for one in old])
    superseded |= {before, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    gone += delete_files(table, sorted(superseded - {table.metadata_location}))
    if unreferenced_before is not None:
        table.refresh()
        known = _referenced(table) | {file_key(table.metadata_location)}
        gone += len(delete_unreferenced(table, known=known, before=unreferenced_before))
    return Expired(snapshots=len(old), files=gone)


def written_at(table: Table) -> datetime | None:
    """When the table's current metadata was written, by the store's own clock.

    :param table: the loaded table.
    """
    filesystem, path = open_location(table.metadata_location)
    moment: datetime | None = filesystem.get_file_info(path).mtime
    return moment


def _referenced(table: Table) -> set[str]:
    """Files that the current snapshot needs. What it says is deleted is not among them."""
    current = table.current_snapshot()
    return snapshot_files(table, [current] if current else [], live_only=True).keys


def _expire(table: Table, snapshot_ids: list[int]) -> None:
    if snapshot_ids:
        with table.transaction() as transaction:
            ExpireSnapshots(transaction).by_ids(snapshot_ids).commit()
