"""The metadata of a draft: the table's present snapshot alone, with manifests of its own.

An engine's DROP TABLE deletes every manifest and every earlier metadata file that a table names, and its folder; data
files too, unless `gc.enabled` is false. A draft that a killed process has left must not take the table with it when
somebody tidies up. So a draft names no file of its table but data files.
"""

from __future__ import annotations

import copy
import uuid

from pyiceberg.manifest import ManifestFile, write_manifest_list
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Snapshot, SnapshotLogEntry
from pyiceberg.table.update import SetLocationUpdate, SetPropertiesUpdate, update_table_metadata

from include.staging.store import join

_PROPERTIES = {"gc.enabled": "false", "write.metadata.delete-after-commit.enabled": "false"}
#: Place of its own path among the fields of a manifest, as the Iceberg specification orders them.
_PATH = 0


def own_metadata(table: Table, folder: str) -> TableMetadata:
    """The metadata of a draft.

    :param table: as it was at planning.
    :param folder: of the draft.
    """
    metadata = update_table_metadata(
        table.metadata, (SetLocationUpdate(location=folder), SetPropertiesUpdate(updates=_PROPERTIES))
    )
    snapshot = table.current_snapshot()
    kept = [] if snapshot is None else [_with_own_manifests(table, snapshot, folder)]
    return metadata.model_copy(
        update={
            "snapshots": kept,
            "snapshot_log": [
                SnapshotLogEntry(snapshot_id=one.snapshot_id, timestamp_ms=one.timestamp_ms) for one in kept
            ],
            "refs": {MAIN_BRANCH: table.metadata.refs[MAIN_BRANCH]} if kept else {},
            "metadata_log": [],
            "statistics": [],
            "partition_statistics": [],
        }
    )


def _with_own_manifests(table: Table, snapshot: Snapshot, folder: str) -> Snapshot:
    manifests = [_copied(table, manifest, folder) for manifest in snapshot.manifests(table.io)]
    location = join(folder, "metadata", f"snap-{snapshot.snapshot_id}-{uuid.uuid4()}.avro")
    with write_manifest_list(
        format_version=table.metadata.format_version,
        output_file=table.io.new_output(location),
        snapshot_id=snapshot.snapshot_id,
        parent_snapshot_id=snapshot.parent_snapshot_id,
        sequence_number=snapshot.sequence_number,
        avro_compression="deflate",
    ) as writer:
        writer.add_manifests(manifests)
    return snapshot.model_copy(update={"manifest_list": location})


def _copied(table: Table, manifest: ManifestFile, folder: str) -> ManifestFile:
    path = join(folder, "metadata", manifest.manifest_path.rpartition("/")[2])
    with table.io.new_input(manifest.manifest_path).open() as source, table.io.new_output(path).create() as sink:
        sink.write(source.read())
    own = copy.deepcopy(manifest)
    own[_PATH] = path
    return own
