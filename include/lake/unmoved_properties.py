"""A requirement that pyiceberg lacks: a commit goes through only if some table properties have not moved meanwhile."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import ValidatableTableRequirement


class AssertProperties(ValidatableTableRequirement):
    """Properties must have the values they had at planning; None: must not be set.

    Checked by pyiceberg inside the catalog's commit (SQL and Glue), right before its compare-and-swap.
    """

    type: Literal["assert-properties"] = Field(default="assert-properties")
    properties: dict[str, str | None]

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        """Compare with what the catalog has now.

        :param base_metadata: the table's current metadata.
        :raises CommitFailedException: naming the first property that has moved.
        """
        current = base_metadata.properties if base_metadata else {}
        for name, expected in self.properties.items():
            if current.get(name) != expected:
                raise CommitFailedException(f"{name} is {current.get(name)!r} by now, was {expected!r} at planning")
