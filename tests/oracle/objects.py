"""What the oracle knows of each object: its fields, what is required and tracked, and the columns of its dimension.

Written from DESIGN.md and NAMES.md, not read from include/objects: the oracle shares nothing with the implementation.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

Value = str | bool | datetime | None
"""A source value; datetimes are aware and UTC."""

DATES = ("LastModifiedDate", "SystemModstamp", "CreatedDate")


@dataclass(frozen=True, kw_only=True)
class ObjectModel:
    """A Salesforce object as the history sees it.

    :param name: API name of the object.
    :param id_prefix: first three characters of its Ids.
    :param attributes: fields other than Id, the dates and IsDeleted, by API name.
    :param booleans: those of them that are checkboxes: an insert sets them false (IsActive: true), not null.
    :param required: fields without which a record is quarantined.
    :param tracked: columns (lower-cased) whose change opens a version.
    :param has_is_deleted: whether the org has IsDeleted for it, that is, soft deletes.
    :param dimension: (column of the dimension, source column) of the attributes, in the dimension's order.
    :param key_column: the dimension's bigint key.
    :param id_column: the dimension's name for the Id.
    """

    name: str
    id_prefix: str
    attributes: tuple[str, ...]
    booleans: frozenset[str]
    required: tuple[str, ...]
    tracked: tuple[str, ...]
    has_is_deleted: bool
    dimension: tuple[tuple[str, str], ...]
    key_column: str
    id_column: str

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The columns of an observation, isdeleted included (false where the org has no such field)."""
        return tuple(field.lower() for field in ("Id", *self.attributes, *DATES, "IsDeleted"))

    @property
    def dimension_columns(self) -> tuple[str, ...]:
        """The columns of the dimension in the design's order, without _dbt_updated_at (the time of the dbt run)."""
        ends = ("update_date", "effective_from", "effective_to", "is_current", "is_deleted", "_scd_id")
        return (self.key_column, self.id_column, *(name for name, _ in self.dimension), *ends)


USER = ObjectModel(
    name="User",
    id_prefix="005",
    attributes=("Name", "Division", "Audit_Phase__c", "IsActive"),
    booleans=frozenset({"IsActive"}),
    required=("Id", "Name"),
    tracked=("division", "audit_phase__c"),
    has_is_deleted=False,
    dimension=(
        ("name", "name"),
        ("division", "division"),
        ("audit_phase__c", "audit_phase__c"),
        ("is_active", "isactive"),
    ),
    key_column="user_key",
    id_column="user_id",
)

ACCOUNT = ObjectModel(
    name="Account",
    id_prefix="001",
    attributes=("Name", "OwnerId", "Industry", "Rating"),
    booleans=frozenset(),
    required=("Id", "Name"),
    tracked=("ownerid", "industry", "rating"),
    has_is_deleted=True,
    dimension=(("name", "name"), ("owner_id", "ownerid"), ("industry", "industry"), ("rating", "rating")),
    key_column="account_key",
    id_column="account_id",
)

OBJECTS = {model.name: model for model in (USER, ACCOUNT)}


def instant(text: str) -> datetime:
    """Read a datetime such as 2026-01-05T07:12:00Z.

    :param text: ISO 8601 with an offset or Z.
    :returns: the aware UTC datetime.
    :raises ValueError: when it has no offset or is no datetime.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset; write it like 2026-01-05T07:12:00Z")
    return moment.astimezone(UTC)


def written(moment: datetime) -> str:
    """Write a datetime as scenarios do, to the second unless it has microseconds.

    :param moment: an aware datetime.
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def blank(value: Value) -> bool:
    """Whether a value says nothing: Bulk cannot tell null from '', so neither does the history.

    :param value: a source value.
    """
    return value is None or (isinstance(value, str) and value == "")
