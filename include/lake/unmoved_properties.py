"""Requirements that pyiceberg lacks: a commit goes through only if properties, branches, or numbers have not moved."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.refs import MAIN_BRANCH
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


class AssertRefs(ValidatableTableRequirement):
    """Branches and tags must be those that were there at planning, wherever they point: none holds a snapshot unseen.

    :param held: names of the branches and tags, except main.
    """

    type: Literal["assert-refs"] = Field(default="assert-refs")
    held: dict[str, int]

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        """Compare with what the catalog has now.

        :param base_metadata: the table's current metadata.
        :raises CommitFailedException: when one has come, gone or moved.
        """
        current = held_by_refs(base_metadata) if base_metadata else {}
        if current != self.held:
            raise CommitFailedException(f"branches and tags are {current} by now, were {self.held} at planning")


class AssertSequenceNumber(ValidatableTableRequirement):
    """No snapshot may have been made since planning, on no branch: one that was made elsewhere has the next number.

    :param last: the table's last sequence number at planning.
    """

    type: Literal["assert-last-sequence-number"] = Field(default="assert-last-sequence-number")
    last: int

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        """Compare with what the catalog has now.

        :param base_metadata: the table's current metadata.
        :raises CommitFailedException: when a snapshot was made.
        """
        current = getattr(base_metadata, "last_sequence_number", 0)
        if current != self.last:
            raise CommitFailedException(f"the last sequence number is {current} by now, was {self.last} at planning")


def held_by_refs(metadata: TableMetadata) -> dict[str, int]:
    """Name of each branch and tag except main, and its snapshot.

    :param metadata: of a table.
    """
    return {name: ref.snapshot_id for name, ref in metadata.refs.items() if name != MAIN_BRANCH}
