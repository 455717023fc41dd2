"""The lake as the page sees it: opened tables of one object, each as it is at the moment of the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.layout import layout_of
from include.lake.names import RawTables
from include.page.answers import NotThere


@dataclass(frozen=True)
class ObjectLake:
    """The tables of an object.

    :param catalog: the Iceberg catalog.
    :param object_file: the object.
    :param environment: names the tables.
    """

    catalog: Catalog
    object_file: ObjectFile
    environment: Environment

    @property
    def noun(self) -> str:
        """What the page calls the object."""
        return self.object_file.noun

    @cached_property
    def tables(self) -> RawTables:
        """What its tables are called."""
        return RawTables.of(self.object_file, self.environment)

    def mirror(self) -> Table | None:
        """The mirror as it is now; None before the first load."""
        return self._raw(self.tables.mirror)

    def changes(self) -> Table | None:
        """The changes log as it is now; None before the first load."""
        return self._raw(self.tables.changes)

    def dimension(self) -> Table | None:
        """The dimension as it is now; None until dbt has published it."""
        return self.open(self.tables.dimension)

    def known_dimension(self) -> Table:
        """The dimension as it is now.

        :raises NotThere: until dbt has published it, with what to do.
        """
        table = self.dimension()
        if table is None or table.current_snapshot() is None:
            raise NotThere(
                f"{self.object_file.object} has no history yet: there is no {self.tables.dimension}, or it is empty.",
                remedy=f"Switch {self.object_file.dag_id} on, or trigger it, and wait until a run has succeeded.",
            )
        return table

    def open(self, identifier: str) -> Table | None:
        """A table as it is now: the catalog is asked where its current metadata is.

        :param identifier: `namespace.table`.
        :return: None where there is no such table.
        """
        try:
            return self.catalog.load_table(identifier)
        except (NoSuchTableError, NoSuchNamespaceError):
            return None

    def _raw(self, identifier: str) -> Table | None:
        table = self.open(identifier)
        if table is not None:
            layout_of(table)
        return table


#: Opens an object's lake by its noun; raises NotThere for an unknown one.
LakeOf = Callable[[str], ObjectLake]
