"""How large a table is, told from its metadata alone: no data is read, and no bucket is listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

#: Entry of a snapshot's summary. pyiceberg and Athena write it; DuckDB leaves it out, and after it so does pyiceberg.
_TOTAL_BYTES = "total-files-size"


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What a reader of a table has to go through.

    :param snapshots: states that time travel can still reach.
    :param manifests: manifests of the current state; a reader opens each.
    :param data_files: data files of the current state.
    :param delete_files: files that say which rows of the data files are gone.
    :param bytes: of data files and delete files of the current state.
    :param records: rows in the data files, less those that delete files name (by position; a row is named once).
    """

    snapshots: int = 0
    manifests: int = 0
    data_files: int = 0
    delete_files: int = 0
    bytes: int = 0
    records: int = 0


def footprint(table: Table) -> Footprint:
    """Measure one table: its metadata, one manifest list, and manifests only where nobody wrote their sum.

    :param table: the loaded table.
    """
    snapshot = table.current_snapshot()
    if snapshot is None:
        return Footprint()
    manifests = snapshot.manifests(table.io)
    data = [manifest for manifest in manifests if manifest.content == ManifestContent.DATA]
    deletes = [manifest for manifest in manifests if manifest.content == ManifestContent.DELETES]
    return Footprint(
        snapshots=len(table.metadata.snapshots),
        manifests=len(manifests),
        data_files=sum(map(_live_files, data)),
        delete_files=sum(map(_live_files, deletes)),
        bytes=_bytes(table, snapshot, manifests),
        records=sum(map(_live_rows, data)) - sum(map(_live_rows, deletes)),
    )


def _live_files(manifest: ManifestFile) -> int:
    return (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)


def _live_rows(manifest: ManifestFile) -> int:
    return (manifest.added_rows_count or 0) + (manifest.existing_rows_count or 0)


def _bytes(table: Table, snapshot: Snapshot, manifests: Sequence[ManifestFile]) -> int:
    said = snapshot.summary.additional_properties.get(_TOTAL_BYTES) if snapshot.summary else None
    if said is not None:
        return int(said)
    return sum(
        entry.data_file.file_size_in_bytes
        for manifest in manifests
        for entry in manifest.fetch_manifest_entry(table.io)
    )
