"""How large a table is: what upkeep is measured by."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from pyiceberg.manifest import DataFileContent
from pyiceberg.table import Table

from include.lake.table_files import stored_files


@dataclass(frozen=True, kw_only=True)
class TableSize:
    """What a reader of the table has to go through, and what is stored for it.

    :param data_files: data files of the current snapshot.
    :param delete_files: delete files of the current snapshot.
    :param manifests: manifests of the current snapshot.
    :param snapshots: snapshots, the current one included.
    :param bytes: of the data and delete files of the current snapshot.
    :param stored_files: all files in the table's folder.
    :param stored_bytes: … and their bytes.
    """

    data_files: int = 0
    delete_files: int = 0
    manifests: int = 0
    snapshots: int = 0
    bytes: int = 0
    stored_files: int = 0
    stored_bytes: int = 0

    def numbers(self) -> dict[str, int]:
        """By name, in this order."""
        return asdict(self)


MEASURES = tuple(field.name for field in fields(TableSize))


def measure(table: Table) -> TableSize:
    """Measure a table as it is now.

    :param table: the loaded table.
    """
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    entries = [entry.data_file for one in manifests for entry in one.fetch_manifest_entry(table.io)]
    stored = stored_files(table)
    data_files = sum(file.content == DataFileContent.DATA for file in entries)
    return TableSize(
        data_files=data_files,
        delete_files=len(entries) - data_files,
        manifests=len(manifests),
        snapshots=len(table.snapshots()),
        bytes=sum(file.file_size_in_bytes for file in entries),
        stored_files=len(stored),
        stored_bytes=sum(info.size or 0 for info in stored),
    )
