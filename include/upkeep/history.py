"""Expiry by age: snapshots that nobody reads any more, then the files that only they referred to.

A snapshot is as old as the moment at which another one took its place: until then a reader may have opened it. The
commit comes first and the files go after it, so that no reader finds a snapshot without its files. A crash in between
leaves files that nobody refers to; the next upkeep removes them with the other orphans.

pyiceberg's `table.maintenance.expire_snapshots()` does the same commit, spares what branches and tags point to, and
deletes no file; it counts a snapshot's age from its birth, and does not notice a tag that was made meanwhile.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

from pyiceberg.table import Table
from pyiceberg.table.refs import SnapshotRefType
from pyiceberg.table.snapshots import Snapshot, ancestors_of

from include.config.operating import TableUpkeep
from include.lake.expiry import forget_snapshots
from include.lake.table_files import delete_files, file_key, needed_files, snapshot_files

log = logging.getLogger(__name__)

#: Earlier metadata files go when a commit comes: nobody opens a table by one of them.
_METADATA = {"write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "50"}


@dataclass(frozen=True)
class Outdated:
    """What an expiry did.

    :param snapshots: snapshots that were expired.
    :param files: files that only they had referred to.
    """

    snapshots: int = 0
    files: int = 0


def outdated(table: Table, keep: TableUpkeep, *, now: datetime, held: Collection[int] = ()) -> list[Snapshot]:
    """Snapshots that may go: old, not among the last ones, and neither current nor held by anything.

    :param table: the loaded table.
    :param keep: what stays.
    :param now: the time.
    :param held: ids of snapshots that somebody remembers.
    """
    metadata = table.metadata
    limit = now - keep.keep_history
    replaced_at = _replaced_at(table)
    kept = {*held, *(ref.snapshot_id for ref in metadata.refs.values())}
    for name in (name for name, ref in metadata.refs.items() if ref.snapshot_ref_type == SnapshotRefType.BRANCH):
        lineage = ancestors_of(metadata.snapshot_by_name(name), metadata)
        kept.update(one.snapshot_id for one, _ in zip(lineage, range(keep.keep_snapshots), strict=False))
    return [
        one
        for one in table.snapshots()
        if one.snapshot_id not in kept and replaced_at.get(one.snapshot_id, one.timestamp_ms) < limit.timestamp() * 1000
    ]


def expire(
    table: Table,
    keep: TableUpkeep,
    *,
    now: datetime,
    held: Collection[int] = (),
    on_commit: Callable[[], None] | None = None,
) -> Outdated:
    """Expire what is outdated, in one commit, then delete the files that nothing else needs.

    :param table: the loaded table; it is refreshed by the commit.
    :param keep: what stays.
    :param now: the time.
    :param held: ids of snapshots that somebody remembers.
    :param on_commit: called when the snapshots are expired and no file is deleted yet.
    :raises CommitFailedException: when somebody else has made or moved a branch or tag; load the table and try again.
    """
    old = outdated(table, keep, now=now, held=held)
    missing = {name: value for name, value in _METADATA.items() if name not in table.properties}
    # Before the commit, while the table still knows them.
    theirs = snapshot_files(table, old)
    forget_snapshots(table, [one.snapshot_id for one in old], properties=missing)
    if on_commit is not None:
        on_commit()
    if not old:
        return Outdated()
    # As the table is now: whoever has committed since refers to files of its own and of the snapshot before.
    table.refresh()
    kept = needed_files(table)
    gone = sum(delete_files(table, [name for name in sorted(names) if file_key(name) not in kept]) for names in theirs)
    log.info("%s: %d old snapshots expired, %d files deleted", ".".join(table.name()), len(old), gone)
    return Outdated(snapshots=len(old), files=gone)


def _replaced_at(table: Table) -> dict[int, int]:
    """For each snapshot that was current when another one took its place (milliseconds)."""
    log_entries = table.metadata.snapshot_log
    moments: dict[int, int] = {}
    for entry, successor in itertools.pairwise(log_entries):
        moments[entry.snapshot_id] = max(moments.get(entry.snapshot_id, 0), successor.timestamp_ms)
    for one in table.snapshots():
        if one.parent_snapshot_id is not None:
            moments[one.parent_snapshot_id] = max(moments.get(one.parent_snapshot_id, 0), one.timestamp_ms)
    return moments
