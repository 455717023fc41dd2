"""Objects and fields of the org, and how a test lets them drift.

The definitions in ``objects/*.json`` restate the field lists of real orgs; attributes left out there have the defaults
of :class:`Field`.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any

TEXT_TYPES = frozenset(
    {"string", "textarea", "email", "phone", "url", "picklist", "multipicklist", "combobox", "encryptedstring"}
)
ID_TYPES = frozenset({"id", "reference"})
NUMBER_TYPES = frozenset({"int", "long", "double", "currency", "percent"})
COMPOUND_TYPES = frozenset({"address", "location"})
OTHER_TYPES = frozenset({"boolean", "date", "datetime", "base64"})
FIELD_TYPES = TEXT_TYPES | ID_TYPES | NUMBER_TYPES | COMPOUND_TYPES | OTHER_TYPES

SCENARIO_OBJECTS = ("User", "Account")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


class SchemaError(ValueError):
    """A change of the org's schema that cannot be made."""


@dataclass(frozen=True)
class Field:
    """One field of an object, with the attributes of Salesforce's describe."""

    name: str
    label: str
    type: str
    length: int = 0
    custom: bool = False
    nillable: bool = False
    filterable: bool = True
    sortable: bool = True
    groupable: bool = True
    aggregatable: bool = True
    calculated: bool = False
    compound: bool = False
    compound_field_name: str | None = None
    default_value: Any = None
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    picklist_values: tuple[str, ...] = ()

    @property
    def is_compound(self) -> bool:
        """Tell whether the field only bundles others (an address, say)."""
        return self.type in COMPOUND_TYPES


@dataclass(frozen=True)
class SObject:
    """An object and its fields, in describe's order."""

    name: str
    label: str
    label_plural: str
    key_prefix: str
    fields: tuple[Field, ...]

    @cached_property
    def _by_name(self) -> dict[str, Field]:
        return {item.name.lower(): item for item in self.fields}

    @cached_property
    def by_exact_name(self) -> dict[str, Field]:
        """The fields by their API name."""
        return {item.name: item for item in self.fields}

    def field(self, name: str) -> Field | None:
        """Return the field of that name, in any case, or None.

        :param name: the API name of a field.
        """
        return self._by_name.get(name.lower())

    def components(self, compound: Field) -> list[Field]:
        """Return the fields that a compound field bundles.

        :param compound: a field of this object, of a compound type.
        """
        return [item for item in self.fields if item.compound_field_name == compound.name and item is not compound]


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name)


def _camel(name: str) -> str:
    return re.sub("_([a-z])", lambda found: found[1].upper(), name)


_ATTRIBUTES = {_camel(item.name): item.name for item in dataclasses.fields(Field)}
"""Describe's names of a field's attributes, and ours."""


def field_from(definition: Mapping[str, Any], *, source: str) -> Field:
    """Build a field from its JSON definition.

    :param definition: describe's attributes; ``name`` and ``type`` are needed.
    :param source: where it comes from, for the error.
    :raises SchemaError: if an attribute or the type is unknown.
    """
    unknown = sorted(set(definition) - set(_ATTRIBUTES))
    if unknown:
        allowed = ", ".join(sorted(_ATTRIBUTES))
        raise SchemaError(f"{source}: unknown attribute {', '.join(unknown)}; allowed are {allowed}")
    name, kind = definition.get("name"), definition.get("type")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SchemaError(f"{source}: name {name!r} is not a field name; allowed are letters, digits and _")
    if kind not in FIELD_TYPES:
        raise SchemaError(f"{source}: type {kind!r} of {name} is unknown; allowed are {', '.join(sorted(FIELD_TYPES))}")
    values: dict[str, Any] = {"label": name, "custom": name.endswith("__c")}
    values.update((_ATTRIBUTES[key], value) for key, value in definition.items())
    for key in ("reference_to", "picklist_values"):
        values[key] = tuple(values.get(key, ()))
    return Field(**values)


def _load(name: str) -> SObject:
    text = resources.files(__package__).joinpath("objects", f"{name}.json").read_text(encoding="utf-8")
    data = json.loads(text)
    fields = tuple(field_from(item, source=f"objects/{name}.json") for item in data.pop("fields"))
    return SObject(fields=fields, **{_snake(key): value for key, value in data.items()})


@dataclass
class Schema:
    """The org's objects as the integration user sees them.

    ``objects`` is everything there is; fields in ``hidden`` exist, but field-level security keeps them from the
    integration user: describe and queries behave as if they were not there.
    """

    objects: dict[str, SObject]
    hidden: dict[str, frozenset[str]] = field(default_factory=dict)
    drift: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def standard(cls) -> Schema:
        """Return the schema of a fresh org."""
        return cls(objects={name: _load(name) for name in (*SCENARIO_OBJECTS, "Organization")})

    def __iter__(self) -> Iterator[str]:
        return iter(self.objects)

    def visible(self, name: str) -> SObject | None:
        """Return an object as the integration user sees it, or None if there is none of that name.

        :param name: the object's name, in any case.
        """
        for sobject in self.objects.values():
            if sobject.name.lower() == name.lower():
                hidden = self.hidden.get(sobject.name, frozenset())
                if not hidden:
                    return sobject
                kept = tuple(item for item in sobject.fields if item.name not in hidden)
                return dataclasses.replace(sobject, fields=kept)
        return None

    def change(self, *, action: str, sobject: str, field: Mapping[str, Any]) -> None:
        """Let the org's schema drift.

        :param action: ``add`` a field, ``alter`` attributes of one, ``remove`` one, ``hide`` one from the integration
            user or ``show`` it again.
        :param sobject: the object's name.
        :param field: the field's definition for ``add``; its ``name`` and the changed attributes for ``alter``;
            its ``name`` for the others.
        :raises SchemaError: if the action, the object or the field is unknown, or a field to add is there already.
        """
        actions = ("add", "alter", "remove", "hide", "show")
        if action not in actions:
            raise SchemaError(f"action {action!r} is unknown; allowed are {', '.join(actions)}")
        if sobject not in self.objects:
            raise SchemaError(f"object {sobject!r} is unknown; allowed are {', '.join(self.objects)}")
        target = self.objects[sobject]
        name = str(field.get("name", ""))
        present = target.field(name)
        if action == "add":
            # A name in another case passes, although no org allows it: readers must cope with what they are told.
            if name in target.by_exact_name:
                raise SchemaError(f"{sobject}.{name} is there already; alter it or choose another name")
            added = field_from({"nillable": True, **field}, source=f"{sobject}.{name}")
            self._replace(target, (*target.fields, added))
        elif present is None:
            raise SchemaError(f"{sobject} has no field {name!r}; to make one use the action add")
        elif action == "alter":
            known = {key: getattr(present, attribute) for key, attribute in _ATTRIBUTES.items()}
            altered = field_from({**known, **field, "name": present.name}, source=f"{sobject}.{name}")
            self._replace(target, tuple(altered if item is present else item for item in target.fields))
        elif action == "remove":
            self._replace(target, tuple(item for item in target.fields if item is not present))
        elif action == "hide":
            self.hidden[sobject] = self.hidden.get(sobject, frozenset()) | {present.name}
        else:
            self.hidden[sobject] = self.hidden.get(sobject, frozenset()) - {present.name}
        self.drift.append({"action": action, "sobject": sobject, "field": dict(field)})

    def _replace(self, target: SObject, fields: tuple[Field, ...]) -> None:
        self.objects = {**self.objects, target.name: dataclasses.replace(target, fields=fields)}
