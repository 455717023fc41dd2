"""The files of a table: which its snapshots refer to, which nobody refers to, and how they are removed.

What an expiry that leaves the present only (erasure) and the one by age (upkeep) have in common.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow.fs as pafs
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from include.staging.store import open_location

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SnapshotFiles:
    """What some snapshots refer to, by name.

    :param data: data files and delete files.
    :param manifests: manifests.
    :param lists: manifest lists.
    """

    data: frozenset[str]
    manifests: frozenset[str]
    lists: frozenset[str]

    def __iter__(self) -> Iterator[frozenset[str]]:
        """In the order in which they can go: a file is gone before what says that it is there."""
        return iter((self.data, self.manifests, self.lists))

    @property
    def keys(self) -> set[str]:
        """All of them, comparable with other names of the same files."""
        return {file_key(name) for names in self for name in names}


def snapshot_files(table: Table, snapshots: Iterable[Snapshot], *, live_only: bool = False) -> SnapshotFiles:
    """Data files, manifests and manifest lists of some snapshots. What is gone already is passed over.

    :param table: the loaded table.
    :param snapshots: of it.
    :param live_only: what a manifest says is deleted does not count.
    """
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
    return SnapshotFiles(data=frozenset(data), manifests=frozenset(manifests), lists=frozenset(lists))


def needed_files(table: Table) -> set[str]:
    """Keys of all files that a reader of any snapshot needs. What a manifest says is deleted is not among them.

    :param table: the loaded table.
    :raises FileNotFoundError: when the current snapshot lacks one: what it needs cannot be told then.
    """
    current = table.current_snapshot()
    for manifest in current.manifests(table.io) if current else ():
        manifest.fetch_manifest_entry(table.io)
    return snapshot_files(table, table.snapshots(), live_only=True).keys


def delete_files(table: Table, names: Iterable[str]) -> int:
    """Delete files; one that is gone already is fine.

    :param table: the loaded table.
    :param names: of the files.
    :return: how many were there.
    """
    count = 0
    for name in names:
        try:
            table.io.delete(name)
            count += 1
        except FileNotFoundError:
            continue
    return count


def delete_unreferenced(table: Table, *, known: set[str], before: datetime, dry_run: bool = False) -> list[str]:
    """Delete the files in the table's folder that nobody refers to: a writer that was killed has left them.

    :param table: the loaded table.
    :param known: keys of the files that are referred to.
    :param before: younger files stay: their writer may be about to commit them.
    :param dry_run: look only.
    :return: their paths.
    """
    filesystem, _ = place_of(table, table.location())
    found = [info.path for info in stored_files(table) if file_key(info.path) not in known and info.mtime < before]
    if found and not dry_run:
        log.info("%s: nobody refers to %d files, for example %s; removed", ".".join(table.name()), len(found), found[0])
        for path in found:
            filesystem.delete_file(path)
    return found


def stored_files(table: Table) -> list[pafs.FileInfo]:
    """Every file in the table's folder, whoever refers to it.

    :param table: the loaded table.
    """
    filesystem, path = place_of(table, table.location())
    found = filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
    return [info for info in found if info.type == pafs.FileType.File]


def place_of(table: Table, location: str) -> tuple[pafs.FileSystem, str]:
    """The file system that a table's own files are read with, and the path of one of them there.

    What the Iceberg connection says of S3 (endpoint, role, region) holds for it, whatever holds for the staging store.

    :param table: the loaded table.
    :param location: of the table, or of a file of its.
    """
    if isinstance(table.io, PyArrowFileIO) and "://" in location and not location.startswith("file://"):
        scheme, bucket, path = table.io.parse_location(location, table.io.properties)
        return table.io.fs_by_scheme(scheme, bucket), path.rstrip("/")
    return open_location(location)


def file_key(name: str) -> str:
    """By what a file is the same, however it is named: `file:///a//b` and `/a/b`, `s3://a/b` and `a/b`.

    :param name: a path or a URI.
    """
    return re.sub("/+", "/", re.sub(r"^[a-z0-9]+:(//)?", "", name))
