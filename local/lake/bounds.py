"""Bounds of text columns, mended before DuckDB's commit: it cuts them after 16 bytes, in the middle of a character too.

Such a bound is no text. DuckDB itself, asked for rows by that column, then stops with "Invalid unicode (byte sequence
mismatch)", and pyiceberg cannot decode it either. Bounds only help to skip files: one that is no text is left out.
"""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from pyiceberg.io import FileIO
from pyiceberg.manifest import (
    DataFile,
    ManifestContent,
    ManifestEntry,
    ManifestFile,
    write_manifest,
    write_manifest_list,
)
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AddSnapshotUpdate, TableUpdate
from pyiceberg.types import StringType

_CODEC: Final = "deflate"


def mend_bounds(table: Table, updates: tuple[TableUpdate, ...]) -> tuple[TableUpdate, ...]:
    """The updates of a commit, whose new snapshot has no bound that is no text.

    :param table: as it was before the commit.
    :param updates: of the commit.
    """
    return tuple(
        update.model_copy(update={"snapshot": _mended(table, update.snapshot)})
        if isinstance(update, AddSnapshotUpdate)
        else update
        for update in updates
    )


def _mended(table: Table, snapshot: Snapshot) -> Snapshot:
    texts = {field.field_id for field in table.schema().fields if isinstance(field.field_type, StringType)}
    manifests = snapshot.manifests(table.io)
    mended = [_mended_manifest(table, snapshot, manifest, texts) for manifest in manifests]
    if all(new is old for new, old in zip(mended, manifests, strict=True)):
        return snapshot
    output = table.io.new_output(_beside(snapshot.manifest_list))
    with write_manifest_list(
        format_version=2,
        output_file=output,
        snapshot_id=snapshot.snapshot_id,
        parent_snapshot_id=snapshot.parent_snapshot_id,
        sequence_number=snapshot.sequence_number,
        avro_compression=_CODEC,
    ) as writer:
        writer.add_manifests(mended)
    return snapshot.model_copy(update={"manifest_list": output.location})


def _mended_manifest(table: Table, snapshot: Snapshot, manifest: ManifestFile, texts: set[int]) -> ManifestFile:
    if manifest.added_snapshot_id != snapshot.snapshot_id or manifest.content != ManifestContent.DATA:
        return manifest
    entries = _entries(table.io, manifest)
    if not sum(_without_broken_bounds(entry.data_file, texts) for entry in entries):
        return manifest
    output = table.io.new_output(_beside(manifest.manifest_path))
    with write_manifest(
        format_version=2,
        spec=table.specs()[manifest.partition_spec_id],
        schema=table.schema(),
        output_file=output,
        snapshot_id=snapshot.snapshot_id,
        avro_compression=_CODEC,
    ) as writer:
        for entry in entries:
            writer.add_entry(entry)
    return writer.to_manifest_file()


def _entries(io: FileIO, manifest: ManifestFile) -> list[ManifestEntry]:
    return manifest.fetch_manifest_entry(io, discard_deleted=False)


def _without_broken_bounds(file: DataFile, texts: set[int]) -> bool:
    found = False
    for bounds in (file.lower_bounds, file.upper_bounds):
        for column in texts & set(bounds or ()):
            try:
                bytes(bounds[column]).decode("utf-8")
            except UnicodeDecodeError:
                del bounds[column]
                found = True
    return found


def _beside(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/{uuid4()}-{name.rpartition('-')[2] if '-' in name else name}"
