"""A draft of a table: the engine writes to it under a name of its own, and one commit of ours publishes what it wrote.

A draft is an entry in the catalog that points to a copy of the table's metadata, not of its data. The engine's
statement makes a snapshot of the draft: the table's present files and its new ones. That snapshot is valid for the
table itself as long as nobody has committed there; so it is published by a commit that requires just that, with
properties set and required like in every other commit (docs/decisions/0007-the-engine-writes-a-draft.md).

Whatever the engine writes goes to a folder of the draft inside the table's folder. The entry is dropped before the
snapshot is published: what a crash leaves in the catalog never names the folder of a published file. It is dropped by
the catalog alone, which touches no file.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    SetPropertiesUpdate,
    SetSnapshotRefUpdate,
)

from include.lake.draft_metadata import own_metadata
from include.lake.short_lived import short_lived_name
from include.lake.table_files import delete_files
from include.lake.unmoved_properties import AssertProperties, AssertSequenceNumber
from include.staging.store import join, remove

FOLDER = "drafts"


class DraftLost(Exception):
    """Somebody has removed the draft, or what it is made of; plan again."""


@dataclass(frozen=True)
class Draft:
    """A draft that the engine can write to.

    :param catalog: the Iceberg catalog.
    :param table: as it was at planning.
    :param identifier: what the draft is called, `namespace.table`.
    :param folder: of what the engine writes.
    """

    catalog: Catalog
    table: Table
    identifier: str
    folder: str

    @classmethod
    def of(cls, catalog: Catalog, table: Table) -> Draft:
        """Make a draft.

        :param catalog: the Iceberg catalog.
        :param table: as it was at planning.
        """
        folder = join(table.location(), FOLDER, uuid.uuid4().hex)
        metadata = own_metadata(table, folder)
        location = join(folder, "metadata", f"00000-{uuid.uuid4()}.metadata.json")
        ToOutputFile.table_metadata(metadata, table.io.new_output(location))
        draft = cls(catalog, table, short_lived_name(".".join(table.name()), "draft"), folder)
        catalog.register_table(draft.identifier, location)
        return draft

    def finished(self) -> Written:
        """What the engine has written. The draft's entry is gone afterwards.

        :raises DraftLost: when the draft is not there, or was not written by one statement.
        """
        try:
            written = self.catalog.load_table(self.identifier)
        except (NoSuchTableError, FileNotFoundError) as lost:
            raise DraftLost(f"{self.identifier} is gone: an erasure or somebody else has removed it") from lost
        self._drop_entry()
        base, snapshot = self.table.current_snapshot(), written.current_snapshot()
        if snapshot is not None and base is not None and snapshot.snapshot_id == base.snapshot_id:
            snapshot = None
        if snapshot is not None and snapshot.parent_snapshot_id != (base.snapshot_id if base else None):
            raise DraftLost(f"{self.identifier} was written by more than one statement")
        return Written(draft=self, snapshot=snapshot, litter=_metadata_files(written, snapshot))

    def discard(self) -> None:
        """Remove the draft's entry and all that the engine has written."""
        self._drop_entry()
        remove(self.folder)

    def _drop_entry(self) -> None:
        try:
            self.catalog.drop_table(self.identifier)
        except NoSuchTableError:
            return


@dataclass(frozen=True)
class Written:
    """What one statement has written to a draft.

    :param draft: the draft.
    :param snapshot: None if the statement found nothing to do.
    :param litter: metadata of the draft, which nobody needs once the snapshot is published.
    """

    draft: Draft
    snapshot: Snapshot | None
    litter: frozenset[str]

    @property
    def added(self) -> int:
        """Rows written, those included that take the place of another."""
        return self._count("added-records")

    @property
    def replaced(self) -> int:
        """Rows of the table that others took the place of."""
        return self._count("added-position-deletes")

    def _count(self, name: str) -> int:
        summary = self.snapshot.summary if self.snapshot else None
        return int((summary and summary[name]) or 0)

    def publish(
        self,
        *,
        properties: Mapping[str, str] | None = None,
        unmoved: Iterable[str] = (),
        snapshot_properties: Mapping[str, str] | None = None,
        last_look: Callable[[], None] | None = None,
    ) -> int:
        """Make the draft's snapshot the table's, in one commit, provided that nobody has committed since planning.

        :param properties: table properties to set in the same commit.
        :param unmoved: names of properties that must be as they were at planning.
        :param snapshot_properties: entries of the snapshot's summary.
        :param last_look: called right before the commit; it may raise to stop it.
        :return: id of the snapshot.
        :raises CommitFailedException: when someone else has committed; plan again.
        """
        table = self.draft.table
        assert self.snapshot is not None  # noqa: S101 - nobody publishes nothing
        snapshot = self.snapshot.model_copy(deep=True, update={"timestamp_ms": int(time.time() * 1000)})
        for name, value in (snapshot_properties or {}).items():
            if snapshot.summary is not None:
                snapshot.summary[name] = value
        try:
            transaction = table.transaction()
            transaction._apply(
                (
                    AddSnapshotUpdate(snapshot=snapshot),
                    SetSnapshotRefUpdate(  # type: ignore[call-arg]
                        ref_name=MAIN_BRANCH, type=SnapshotRefType.BRANCH, snapshot_id=snapshot.snapshot_id
                    ),
                    *((SetPropertiesUpdate(updates=dict(properties)),) if properties else ()),
                ),
                (
                    AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=snapshot.parent_snapshot_id),
                    AssertSequenceNumber(last=getattr(table.metadata, "last_sequence_number", 0)),
                    AssertProperties(properties={name: table.properties.get(name) for name in unmoved}),
                ),  # type: ignore[arg-type]
            )
            if last_look is not None:
                last_look()
        except BaseException:
            self.draft.discard()
            raise
        try:
            transaction.commit_transaction()
        except (CommitFailedException, ValidationException, FileNotFoundError):
            if table.refresh().snapshot_by_id(snapshot.snapshot_id) is None:
                self.draft.discard()
                raise  # else it landed, and only its answer was lost
        # Any other problem leaves the files: whether the commit landed is not known then.
        delete_files(table, self.litter)
        return snapshot.snapshot_id


def _metadata_files(written: Table, published: Snapshot | None) -> frozenset[str]:
    """Metadata, statistics and copied manifests of a draft that its last snapshot does not need."""
    metadata = written.metadata
    named = {
        written.metadata_location,
        *(entry.metadata_file for entry in metadata.metadata_log),
        *(one.statistics_path for one in metadata.statistics),
    }
    for snapshot in metadata.snapshots:
        if published is not None and snapshot.snapshot_id != published.snapshot_id:
            named |= {snapshot.manifest_list, *(one.manifest_path for one in snapshot.manifests(written.io))}
    if published is not None:
        named -= {published.manifest_list, *(one.manifest_path for one in published.manifests(written.io))}
    return frozenset(named)
