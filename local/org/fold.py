"""What the events of one record add up to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Patch(NamedTuple):
    """A visible event of one record, in the order in which it applies. ``at`` is in seconds since 1970."""

    at: int
    op: str
    system: bool
    fields: dict[str, Any]


@dataclass
class Record:
    """A record as it stands. Datetimes are seconds since 1970."""

    created: int
    modified: int
    modstamp: int
    deleted: bool = False
    deleted_at: int | None = None
    hidden: bool = False
    values: dict[str, Any] = field(default_factory=dict)


def fold(patches: Iterable[Patch]) -> Record | None:
    """Apply the visible events of one Id.

    A record begins with an insert; what comes before it, or after a purge, touches nothing.

    :param patches: the events that show, in ``at`` order, ties in the file's order.
    :returns: the record, or None if it does not exist.
    """
    record: Record | None = None
    for patch in patches:
        if record is None:
            if patch.op != "insert":
                continue
            values = dict(patch.fields)
            created = values.pop("CreatedDate", patch.at)
            record = Record(created=created, modified=patch.at, modstamp=patch.at, values=values)
        elif patch.op == "purge":
            record = None
        elif patch.op in ("hide", "unhide"):
            record.hidden = patch.op == "hide"
        else:
            _apply(record, patch)
    return record


def _apply(record: Record, patch: Patch) -> None:
    """Apply an event that moves dates to a record that exists."""
    record.modstamp = patch.at
    if not patch.system:
        record.modified = patch.at
    if patch.op in ("delete", "undelete"):
        record.deleted = patch.op == "delete"
        record.deleted_at = patch.at if record.deleted else None
    else:
        record.values.update((name, value) for name, value in patch.fields.items() if name != "CreatedDate")
