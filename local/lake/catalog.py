"""The lake folder: where its catalog, its tables and DuckDB's views are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

#: Name of the catalog in its database. Airflow's IcebergHook names a catalog by its connection id.
CATALOG_NAME = "iceberg_default"

LAKE_VARIABLE = "SF_HISTORY_LAKE"
_PROJECT_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class LakeFolder:
    """One lake on this machine.

    :param path: the folder, absolute. Iceberg metadata holds absolute paths, so it cannot be moved.
    """

    path: Path

    @property
    def catalog_file(self) -> Path:
        """The SQLite file of the catalog."""
        return self.path / "catalog.db"

    @property
    def views_file(self) -> Path:
        """The DuckDB file in which dbt keeps staging views and intermediate tables."""
        return self.path / "views.duckdb"

    @property
    def extension_folder(self) -> Path:
        """Where DuckDB looks for its extensions."""
        return self.path / "duckdb_extensions"

    @property
    def exists(self) -> bool:
        """Whether anything has been written to the lake yet."""
        return self.catalog_file.is_file()

    def open_catalog(self) -> SqlCatalog:
        """The catalog of this lake; it is created if it is not there."""
        # Imported here because it takes a second, and a reader of the lake does without.
        from pyiceberg.catalog.sql import SqlCatalog

        self.path.mkdir(parents=True, exist_ok=True)
        return SqlCatalog(
            CATALOG_NAME,
            uri=f"sqlite:///{self.catalog_file}",
            warehouse=f"file://{self.path / 'warehouse'}",
        )


def lake_folder(path: str | Path | None = None) -> LakeFolder:
    """The lake of this machine.

    :param path: the folder; default: the environment variable SF_HISTORY_LAKE, else `.local/lake` of the project.
    """
    chosen = path or os.environ.get(LAKE_VARIABLE) or _PROJECT_ROOT / ".local" / "lake"
    return LakeFolder(path=Path(chosen).expanduser().resolve())
