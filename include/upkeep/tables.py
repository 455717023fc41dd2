"""The tables that upkeep looks after, and how each is kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.config.operating import TableUpkeep, Upkeep
from include.lake.data_files import LARGE_FILE_BYTES
from include.lake.names import RawTables
from include.lake.watermark import LakeState
from include.upkeep.places import OBJECT_TABLES


@dataclass(frozen=True, kw_only=True)
class KeptTable:
    """A table and how it is kept.

    :param identifier: `namespace.table`.
    :param object: API name of the object; empty for the operations tables.
    :param place: what it is to the object, or its name among the operations tables.
    :param keep: its settings.
    :param orphans_after: age from which files that nobody refers to go.
    :param file_bytes: bytes of Arrow of a file that a compaction writes.
    :param remembered_by: the mirror that remembers a snapshot of this table.
    """

    identifier: str
    object: str = ""
    place: str
    keep: TableUpkeep
    orphans_after: timedelta = Upkeep().orphans_after
    file_bytes: int = LARGE_FILE_BYTES
    remembered_by: str | None = None

    def held(self, catalog: Catalog) -> Collection[int]:
        """Snapshots that somebody remembers.

        :param catalog: the Iceberg catalog.
        """
        mirror = load_if_there(catalog, self.remembered_by) if self.remembered_by else None
        applied = LakeState.of(mirror).applied_changes_snapshot if mirror else None
        return () if applied is None else (applied,)


def object_tables(object_file: ObjectFile, environment: Environment) -> list[KeptTable]:
    """The tables of an object.

    :param object_file: the object; its section `upkeep` says how they are kept.
    :param environment: names them.
    """
    names = RawTables.of(object_file, environment)
    return [
        KeptTable(
            identifier=getattr(names, place),
            object=object_file.object,
            place=place,
            keep=getattr(object_file.upkeep, place),
            orphans_after=object_file.upkeep.orphans_after,
            # A merge rewrites a file of the mirror for one changed row.
            file_bytes=object_file.upsert.file_bytes if place == "mirror" else LARGE_FILE_BYTES,
            remembered_by=names.mirror if place == "changes" else None,
        )
        for place in OBJECT_TABLES
    ]


def operations_tables(catalog: Catalog, environment: Environment) -> list[KeptTable]:
    """The tables about runs, as many as there are.

    :param catalog: the Iceberg catalog.
    :param environment: names them.
    """
    namespace = environment.operations_namespace
    if not catalog.namespace_exists(namespace):
        return []
    return [
        KeptTable(identifier=f"{namespace}.{name[-1]}", place=name[-1], keep=TableUpkeep())
        for name in sorted(catalog.list_tables(namespace))
    ]


def load_if_there(catalog: Catalog, identifier: str) -> Table | None:
    """A table; None where there is none.

    :param catalog: the Iceberg catalog.
    :param identifier: `namespace.table`.
    """
    try:
        return catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None
