"""Which columns of the dimension and of the raw tables the page shows of an object, and what people call them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from include.config.object_file import ObjectFile

#: Fields by which a record is found, if the object has them.
NAME, EMAIL, ACTIVE = "Name", "Email", "IsActive"


@dataclass(frozen=True)
class Columns:
    """Of one object.

    :param object_file: the object.
    """

    object_file: ObjectFile

    @cached_property
    def identity(self) -> str:
        """The dimension's column of the Id."""
        return self.object_file.dimension_column("Id")

    @cached_property
    def key(self) -> str:
        """The dimension's surrogate key."""
        return f"{self.object_file.noun}_key"

    @cached_property
    def name(self) -> str | None:
        """The dimension's column of the name; None where the object has none."""
        return self._column(NAME)

    @cached_property
    def active(self) -> str | None:
        """The dimension's column that says whether a record is active; None where the object has none."""
        return self._column(ACTIVE)

    @cached_property
    def email(self) -> str | None:
        """The mirror's column of the e-mail address; None where the object has none."""
        return EMAIL.lower() if EMAIL in self.object_file.fields else None

    @cached_property
    def tracked(self) -> tuple[str, ...]:
        """Columns whose change opens a version."""
        return tuple(self.object_file.dimension_column(name) for name in self.object_file.tracked)

    @cached_property
    def sources(self) -> dict[str, str]:
        """Column of the dimension → source column of the raw tables."""
        return {self.object_file.dimension_column(name): name.lower() for name in self.object_file.fields}

    def there(self, names: Iterable[str | None], present: Iterable[str]) -> list[str]:
        """Those columns that a table has: one whose object file has grown since may lack some.

        :param names: what is wanted; None is left out.
        :param present: the table's columns.
        """
        known = set(present)
        return [name for name in dict.fromkeys(names) if name is not None and name in known]

    def _column(self, field: str) -> str | None:
        return self.object_file.dimension_column(field) if field in self.object_file.fields else None
