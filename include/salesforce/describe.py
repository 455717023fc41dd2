"""What an org says about an object: its fields, their types, and what can be done with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from include.salesforce import soql
from include.salesforce.client import SalesforceClient
from include.staging.columns import UNREADABLE_TYPES, column_type

#: Endings of the fields that an address or location is made of, where describe does not say.
_COMPONENTS = (
    "Street",
    "City",
    "State",
    "StateCode",
    "PostalCode",
    "Country",
    "CountryCode",
    "Latitude",
    "Longitude",
    "__Latitude__s",
    "__Longitude__s",
)


@dataclass(frozen=True, kw_only=True)
class FieldDescription:
    """One field, as the org describes it.

    :param name: API name as the org spells it.
    :param type: Salesforce's type.
    :param nillable: may be empty.
    :param filterable: may be used in WHERE.
    :param picklist: values that are offered, active ones only.
    :param compound: API name of the compound field that it is a part of, if any.
    """

    name: str
    type: str
    nillable: bool
    filterable: bool
    picklist: tuple[str, ...]
    compound: str | None

    @property
    def readable(self) -> bool:
        """Holds one value that both APIs can return."""
        return self.type not in UNREADABLE_TYPES

    @property
    def column_type(self) -> str:
        """How it is kept: a key of `COLUMN_TYPES`."""
        return column_type(self.type)


@dataclass(frozen=True, kw_only=True)
class ObjectDescription:
    """An object, as the org describes it to the integration user: what that user cannot see is not there.

    :param name: API name as the org spells it.
    :param fields: every field, in the org's order.
    :param replicateable: getUpdated tells of its changes.
    """

    name: str
    fields: tuple[FieldDescription, ...]
    replicateable: bool = False

    def field(self, name: str) -> FieldDescription | None:
        """A field by its API name in any case, None if it is not there.

        :param name: API name.
        """
        wanted = name.lower()
        return next((field for field in self.fields if field.name.lower() == wanted), None)

    def twins(self, name: str) -> tuple[str, ...]:
        """The names of all fields that are called so in any case, as the org spells them.

        :param name: API name.
        """
        return tuple(field.name for field in self.fields if field.name.lower() == name.lower())

    def components(self, name: str) -> tuple[str, ...]:
        """The fields that a compound field is made of.

        :param name: API name of an address or location field.
        """
        said = tuple(field.name for field in self.fields if field.compound == name and field.name != name)
        stem = name.removesuffix("Address").removesuffix("__c")
        endings = {f"{stem}{ending}".lower() for ending in _COMPONENTS}
        return said or tuple(field.name for field in self.fields if field.name.lower() in endings)


def describe(client: SalesforceClient, object_name: str) -> ObjectDescription:
    """Ask the org to describe an object.

    :param client: the org.
    :param object_name: API name.
    :raises ObjectMissing: when the org does not have it, or does not show it.
    """
    answer = client.get_json(f"sobjects/{soql.identifier(object_name)}/describe", what=f"describing {object_name}")
    return ObjectDescription(
        name=answer["name"],
        fields=tuple(_fields(answer["fields"])),
        replicateable=bool(answer.get("replicateable", False)),
    )


def _fields(said: list[dict]) -> Iterator[FieldDescription]:
    for field in said:
        yield FieldDescription(
            name=field["name"],
            type=field["type"],
            nillable=bool(field.get("nillable", True)),
            filterable=bool(field.get("filterable", True)),
            picklist=tuple(
                str(value["value"]) for value in field.get("picklistValues") or () if value.get("active", True)
            ),
            compound=field.get("compoundFieldName"),
        )
