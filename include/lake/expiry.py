"""What a table was: snapshots other than the current one, and every file that only they, or nobody, refers to.

Files go first and the snapshots that name them last, so that a crash in between can be made good by doing it again.
Readers that have an older snapshot open fail, and find the table in order when they open it again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import pyarrow.fs as pafs
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update.snapshot import ExpireSnapshots

from include.staging.store import open_location

log = logging.getLogger(__name__)


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
    for names in _files(table, table.snapshots()):
        gone += _delete(table, [name for name in sorted(names) if _path(name) not in kept])
    # By name: the list of earlier metadata files goes on naming some of them, and no more than that.
    superseded = {entry.metadata_file for entry in table.metadata.metadata_log}
    before = table.metadata_location
    _expire(table, [one.snapshot_id for one in old])
    superseded |= {before, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    gone += _delete(table, sorted(superseded - {table.metadata_location}))
    if unreferenced_before is not None:
        gone += _delete_unreferenced(table, unreferenced_before)
    return Expired(snapshots=len(old), files=gone)


def written_at(table: Table) -> datetime | None:
    """When the table's current metadata was written, by the store's own clock.

    :param table: the loaded table.
    """
    filesystem, path = open_location(table.metadata_location)
    moment: datetime | None = filesystem.get_file_info(path).mtime
    return moment


def _files(
    table: Table, snapshots: Iterable[Snapshot], *, live_only: bool = False
) -> tuple[set[str], set[str], set[str]]:
    """Data files, manifests and manifest lists of some snapshots, in the order in which they can go."""
    data, manifests, lists = set[str](), dict[str, ManifestFile](), set[str]()
    for snapshot in snapshots:
        lists.add(snapshot.manifest_list)
        try:
            manifests.update({one.manifest_path: one for one in snapshot.manifests(table.io)})
        except FileNotFoundError:
            log.debug("%s is gone already", snapshot.manifest_list)
    for manifest in manifests.values():
        try:
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=live_only)
            data.update(entry.data_file.file_path for entry in entries)
        except FileNotFoundError:
            log.debug("%s is gone already", manifest.manifest_path)
    return data, set(manifests), lists


def _referenced(table: Table) -> set[str]:
    """Files that the current snapshot needs. What it says is deleted is not among them."""
    current = table.current_snapshot()
    parts = _files(table, [current] if current else [], live_only=True)
    return {_path(name) for part in parts for name in part}


def _delete(table: Table, names: Iterable[str]) -> int:
    count = 0
    for name in names:
        try:
            table.io.delete(name)
            count += 1
        except FileNotFoundError:
            continue
    return count


def _expire(table: Table, snapshot_ids: list[int]) -> None:
    if snapshot_ids:
        with table.transaction() as transaction:
            ExpireSnapshots(transaction).by_ids(snapshot_ids).commit()


def _delete_unreferenced(table: Table, before: datetime) -> int:
    table.refresh()
    known = _referenced(table) | {_path(table.metadata_location)}
    filesystem, path = open_location(table.location())
    left_over = [
        info.path
        for info in filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
        if info.type == pafs.FileType.File and _path(info.path) not in known and info.mtime < before
    ]
    for name in left_over:
        log.info("%s: nobody refers to %s; removed", ".".join(table.name()), name)
        filesystem.delete_file(name)
    return len(left_over)


def _path(name: str) -> str:
    return re.sub(r"^[a-z0-9]+:(//)?", "", name)
