"""The two objects that the oracle knows, as their owners describe them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

Value = str | bool | datetime | None
Row = dict[str, Value]

#: Every object has these; their values are moments.
DATES = ("lastmodifieddate", "systemmodstamp", "createddate")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One Salesforce object and its dimension.

    :param object: API name.
    :param noun: as in the names of tables.
    :param attributes: source column → column of the dimension, in the dimension's order.
    :param tracked: source columns whose change opens a version.
    :param booleans: column → value of a new record.
    :param soft_deletes: the object has IsDeleted.
    """

    object: str
    noun: str
    attributes: dict[str, str]
    tracked: tuple[str, ...]
    booleans: dict[str, bool]
    soft_deletes: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Source columns of an observation."""
        return ("id", *self.attributes, *DATES, "isdeleted")

    @property
    def fields(self) -> frozenset[str]:
        """What an event may set, in lower case."""
        return frozenset(self.attributes)

    @property
    def key(self) -> str:
        """Name of the dimension's integer key."""
        return f"{self.noun}_key"

    @property
    def id(self) -> str:
        """Name of the record's Id in the dimension."""
        return f"{self.noun}_id"

    @property
    def dimension_columns(self) -> tuple[str, ...]:
        """Columns of the dimension, `_dbt_updated_at` left out."""
        tail = ("update_date", "effective_from", "effective_to", "is_current", "is_deleted", "_scd_id")
        return (self.key, self.id, *self.attributes.values(), *tail)


USER = Shape(
    object="User",
    noun="user",
    attributes={
        "name": "name",
        "division": "division",
        "audit_phase__c": "audit_phase__c",
        "isactive": "is_active",
    },
    tracked=("division", "audit_phase__c"),
    booleans={"isactive": True},
    soft_deletes=False,
)
ACCOUNT = Shape(
    object="Account",
    noun="account",
    attributes={"name": "name", "ownerid": "owner_id", "industry": "industry", "rating": "rating"},
    tracked=("ownerid", "industry", "rating"),
    booleans={},
    soft_deletes=True,
)
SHAPES = {shape.object: shape for shape in (USER, ACCOUNT)}
