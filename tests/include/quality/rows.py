"""Staged rows of users, and the object file that they are judged by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from include.config.object_file import ObjectFile

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
FILE = ObjectFile(
    version=1,
    object="User",
    fields=("Id", "Name", "Division", "Username", "LastModifiedDate", "SystemModstamp", "IsActive"),
    required=("Id", "Name"),
    unique=("Id", "Username"),
    tracked=("Division",),
    accepted_values={"Division": ("North", "South")},
    batch_size=3,
)


def user_id(number: int) -> str:
    return f"005{number:012d}AAA"


def user(number: int, **values: Any) -> dict[str, Any]:
    """A staged row that no rule objects to, but for what is given."""
    return {
        "id": user_id(number),
        "name": f"user {number}",
        "division": "North",
        "username": f"u{number}",
        "lastmodifieddate": NOON,
        "systemmodstamp": NOON,
        "isactive": True,
        "isdeleted": False,
    } | values
