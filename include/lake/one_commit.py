"""Files swapped and properties set in one Iceberg commit, which fails if anyone has committed since it was planned.

pyiceberg's own appends and overwrites need four things added:

- It never merges manifests, and keeps for ever those that only say "deleted": after a thousand runs every plan would
  read a thousand of them. Here they are dropped and merged as pyiceberg's merge-append does.
- Since 0.12 a conflicting commit is repeated on the new head as it is. Ours must be planned again, because what it
  writes depends on what the other writer has logged. Refusing the rebuild is better than the table property
  `commit.retry.num-retries` = 0: with that pyiceberg no longer asks whether the first try landed after all (its answer
  was lost), and deletes the manifests of a commit that is live.
- `Transaction.table_metadata` is a deep copy of all metadata each time it is asked for, some twenty times a commit; its
  cost grows with the number of snapshots.
- Its requirements notice another snapshot, but not that a property has moved. A run that only moves the watermark
  makes no snapshot; without a requirement of our own a slower one would move it back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.io import FileIO, InputFile, OutputFile
from pyiceberg.manifest import DataFile, ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.table.update import update_table_metadata
from pyiceberg.table.update.snapshot import _ManifestMergeManager, _MergeAppendFiles, _OverwriteFiles
from pyiceberg.typedef import EMPTY_DICT

from include.lake.data_files import discard
from include.lake.unmoved_properties import AssertProperties

#: A manifest takes in others until it has this size.
MANIFEST_BYTES = 8 * 1024 * 1024
#: Manifests of data files that a table may have before they are merged.
MANIFESTS_BEFORE_MERGE = 8
#: Places of a data file's lowest and highest values among its fields, as the Iceberg specification orders them.
_LOWER_BOUNDS, _UPPER_BOUNDS = 10, 11


class _Transaction(Transaction):
    """A transaction that applies its updates to the metadata once, not whenever the metadata is looked at."""

    _applied: tuple[TableMetadata, tuple[object, ...], TableMetadata] | None = None

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata as it will be after the updates staged so far. Not to be changed."""
        base, updates = self._table.metadata, self._updates
        if not updates:
            return base
        if self._applied is None or self._applied[0] is not base or self._applied[1] is not updates:
            self._applied = (base, updates, update_table_metadata(base, updates))
        return self._applied[2]


class _NotingIO(FileIO):
    """A table's files, and the names of those that a commit has written: pyiceberg itself notes them since 0.12 only.

    :param io: the table's own.
    """

    def __init__(self, io: FileIO) -> None:
        super().__init__(io.properties)
        self._io = io
        self.written: list[str] = []

    def new_input(self, location: str) -> InputFile:
        """A file to read."""
        return self._io.new_input(location)

    def new_output(self, location: str) -> OutputFile:
        """A file to write; its name is noted."""
        self.written.append(location)
        return self._io.new_output(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Remove a file."""
        self._io.delete(location)


def _refuse_rebuild() -> None:
    raise ValidationException("another writer has committed since this commit was planned")


class _PlannedAppend(_MergeAppendFiles):
    """An append that is planned again rather than repeated."""

    def _validate_concurrency(self) -> None:
        _refuse_rebuild()


class _PlannedOverwrite(_OverwriteFiles):
    """An overwrite that is planned again rather than repeated, and keeps the number of manifests bounded."""

    _manifests_before_merge = MANIFESTS_BEFORE_MERGE

    def _validate_concurrency(self) -> None:
        _refuse_rebuild()

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        live = [
            manifest
            for manifest in manifests
            if manifest.has_added_files()
            or manifest.has_existing_files()
            or manifest.added_snapshot_id == self._snapshot_id
        ]
        merging: _ManifestMergeManager[_OverwriteFiles] = _ManifestMergeManager(
            target_size_bytes=MANIFEST_BYTES,
            min_count_to_merge=self._manifests_before_merge,
            merge_enabled=True,
            snapshot_producer=self,
        )
        data = [manifest for manifest in live if manifest.content == ManifestContent.DATA]
        return merging.merge_manifests(data) + [
            manifest for manifest in live if manifest.content == ManifestContent.DELETES
        ]


class _ThoroughOverwrite(_PlannedOverwrite):
    """An overwrite that looks into every manifest, because what DuckDB says of partitions there is not pyiceberg's."""

    def _build_delete_files_partition_predicate(self) -> None:
        """None: no manifest is passed over."""

    def _build_manifest_evaluator(self, _: int) -> Callable[[ManifestFile], bool]:
        return lambda _: True


class _Cleansing(_ThoroughOverwrite):
    """An overwrite after which no manifest says anything of what is gone.

    An entry that says "deleted" carries the file's lowest and highest values, and those may be a person's.
    """

    def _deleted_entries(self) -> list[ManifestEntry]:
        entries = super()._deleted_entries()
        for entry in entries:
            entry.data_file[_LOWER_BOUNDS] = entry.data_file[_UPPER_BOUNDS] = None
        return entries

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        clean = [self._without_deleted(one) if self._tells_of_deleted(one) else one for one in manifests]
        return super()._process_manifests([manifest for manifest in clean if manifest is not None])

    def _tells_of_deleted(self, manifest: ManifestFile) -> bool:
        return manifest.added_snapshot_id != self._snapshot_id and tells_of_deleted(manifest)

    def _without_deleted(self, manifest: ManifestFile) -> ManifestFile | None:
        entries = self.fetch_manifest_entry(manifest, discard_deleted=True)
        if not entries:
            return None
        with self.new_manifest_writer(self.spec(manifest.partition_spec_id)) as writer:
            for entry in entries:
                entry.status = ManifestEntryStatus.EXISTING
                writer.add_entry(entry)
        return writer.to_manifest_file()


class _Replacing(_ThoroughOverwrite):
    """The same rows in other files: no reader who asks what has changed since is told of them again.

    A new file has the sequence number of the newest file whose rows it took. Delete files are left out: every file that
    they speak of is replaced.
    """

    _manifests_before_merge = 2
    sequence_numbers: Mapping[str, int]

    def _process_manifests(self, manifests: list[ManifestFile]) -> list[ManifestFile]:
        deletes = [manifest for manifest in manifests if manifest.content == ManifestContent.DELETES]
        self._dropped = {entry.data_file for one in deletes for entry in self.fetch_manifest_entry(one)}
        data = (manifest for manifest in manifests if manifest.content == ManifestContent.DATA)
        return super()._process_manifests([self._numbered(one) if self._adds(one) else one for one in data])

    def _adds(self, manifest: ManifestFile) -> bool:
        return manifest.added_snapshot_id == self._snapshot_id and manifest.has_added_files()

    def _numbered(self, manifest: ManifestFile) -> ManifestFile:
        with self.new_manifest_writer(self.spec(manifest.partition_spec_id)) as writer:
            for entry in self.fetch_manifest_entry(manifest):
                entry.sequence_number = self.sequence_numbers[entry.data_file.file_path]
                writer.add(entry)
        self._io.delete(manifest.manifest_path)
        return writer.to_manifest_file()

    def _summary(self, snapshot_properties: dict[str, str] = EMPTY_DICT) -> Summary:
        replaced = self._deleted_data_files
        self._deleted_data_files = replaced | self._dropped
        summary = super()._summary(snapshot_properties)
        self._deleted_data_files = replaced
        return Summary(Operation.REPLACE, **summary.additional_properties)


def tells_of_deleted(manifest: ManifestFile) -> bool:
    """Whether a manifest of data files has entries of files that are deleted.

    :param manifest: of any snapshot.
    """
    return manifest.content == ManifestContent.DATA and manifest.deleted_files_count != 0


def commit_once(
    table: Table,
    *,
    added: Iterable[DataFile] = (),
    removed: Iterable[DataFile] = (),
    properties: Mapping[str, str] | None = None,
    unmoved: Iterable[str] = (),
    snapshot_properties: Mapping[str, str] | None = None,
    last_look: Callable[[], None] | None = None,
    cleansing: bool = False,
    same_rows: Mapping[str, int] | None = None,
) -> int | None:
    """Commit to a table as it was when `table` was loaded: one snapshot if files change, none if they don't.

    :param table: as it was at planning; it is refreshed by the commit.
    :param added: new data files; they are removed again if the commit certainly failed.
    :param removed: data files whose rows are in `added` now, or gone.
    :param properties: table properties to set in the same commit.
    :param unmoved: names of properties that must be as they were at planning.
    :param snapshot_properties: entries of the snapshot's summary.
    :param last_look: called with the files written, right before the commit; it may raise to stop it.
    :param cleansing: make a snapshot in any case, whose manifests say nothing of files that are gone.
    :param same_rows: make a snapshot in any case, by which no row has changed: path of each added file → highest
        sequence number among the files whose rows are in it. Every file that has delete files is among `removed`.
    :return: id of the new snapshot, None if there is none.
    :raises CommitFailedException: when someone else committed since the planning; plan again.
    :raises ValidationException: likewise.
    :raises FileNotFoundError: likewise, when what was there at planning has been removed from the store.
    """
    added, removed = list(added), list(removed)
    snapshot_id, noting = None, _NotingIO(table.io)
    try:
        transaction = _Transaction(table)
        requirement = AssertProperties(properties={name: table.properties.get(name) for name in unmoved})
        transaction._apply((), (requirement,))  # type: ignore[arg-type]
        if added or removed or cleansing or same_rows is not None:
            kind: type[_PlannedOverwrite | _PlannedAppend] = _PlannedOverwrite if removed else _PlannedAppend
            if cleansing or same_rows is not None:
                kind = _Cleansing if cleansing else _Replacing
            producer = kind(
                operation=Operation.APPEND if kind is _PlannedAppend else Operation.OVERWRITE,
                transaction=transaction,
                io=noting,
                branch=MAIN_BRANCH,
                snapshot_properties=dict(snapshot_properties or {}),
            )
            if isinstance(producer, _Replacing):
                producer.sequence_numbers = same_rows or {}
            snapshot_id = _stage_files(producer, added, removed)
        if properties:
            transaction.set_properties(dict(properties))
        if last_look is not None:
            last_look()
        transaction.commit_transaction()
    except (CommitFailedException, ValidationException, FileNotFoundError):
        if snapshot_id is not None and table.refresh().snapshot_by_id(snapshot_id) is not None:
            return snapshot_id  # it landed, and only its answer was lost; pyiceberg before 0.12 does not look
        discard(table, added)
        _discard_manifests(table, noting.written)
        raise
    return snapshot_id


def _discard_manifests(table: Table, names: Iterable[str]) -> None:
    """pyiceberg leaves those of a commit that it could not even stage; they name the lowest and highest values."""
    for name in names:
        with contextlib.suppress(OSError):
            table.io.delete(name)


def _stage_files(producer: _PlannedOverwrite | _PlannedAppend, added: list[DataFile], removed: list[DataFile]) -> int:
    for file in removed:
        producer.delete_data_file(file)
    for file in added:
        producer.append_data_file(file)
    producer.commit()
    return producer.snapshot_id
