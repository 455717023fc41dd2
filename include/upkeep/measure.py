"""What upkeep is measured by: how large a table is, and what is stored for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from pyiceberg.table import Table

from include.lake.footprint import Footprint, footprint
from include.lake.table_files import stored_files


@dataclass(frozen=True, kw_only=True)
class StoredSize(Footprint):
    """What a reader of the table has to go through, and what is stored for it.

    :param stored_files: all files in the table's folder.
    :param stored_bytes: … and their bytes.
    """

    stored_files: int = 0
    stored_bytes: int = 0

    def numbers(self) -> dict[str, int]:
        """By name, in this order."""
        return asdict(self)


MEASURES = tuple(field.name for field in fields(StoredSize))


def measure(table: Table) -> StoredSize:
    """Measure a table as it is now. Lists its folder.

    :param table: the loaded table.
    """
    stored = stored_files(table)
    return StoredSize(
        **asdict(footprint(table)),
        stored_files=len(stored),
        stored_bytes=sum(info.size or 0 for info in stored),
    )
