"""One line of a scenario: what is allowed in it, checked key by key."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr, ValidationError, field_validator
from pydantic import Field as Key

from local.org import timestamps
from local.org.event import Event
from local.org.ids import is_id, to_18
from local.org.schema import ID_TYPES, NUMBER_TYPES, SCENARIO_OBJECTS, TEXT_TYPES, Field, Schema, SObject

OPS = ("insert", "update", "delete", "undelete", "purge", "hide", "unhide", "refresh")
TAKES_FIELDS = ("insert", "update")
SET_BY_THE_ORG = ("Id", "SystemModstamp", "LastModifiedDate", "IsDeleted")
_SURROGATE = re.compile("[\ud800-\udfff]")


class WrongLine(ValueError):
    """A line that is refused: the key, the value and what is allowed."""


class _Line(BaseModel):
    """The keys of a line and their types."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: int
    op: StrictStr
    object: StrictStr
    id: StrictStr | None = Key(default=None, alias="Id")
    fields: dict[str, Any] | None = None
    visible_at: int | None = None
    system: StrictBool = False

    @field_validator("at", "visible_at", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> int | None:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is not {timestamps.ALLOWED}")
        return timestamps.parse(value)

    @field_validator("op")
    @classmethod
    def _known_op(cls, value: str) -> str:
        if value not in OPS:
            raise ValueError(f"{value!r} is unknown; allowed are {', '.join(OPS)}")
        return value

    @field_validator("object")
    @classmethod
    def _known_object(cls, value: str) -> str:
        if value not in SCENARIO_OBJECTS:
            raise ValueError(f"{value!r} is unknown; allowed are {', '.join(SCENARIO_OBJECTS)}")
        return value


_KEYS = tuple(item.alias or name for name, item in _Line.model_fields.items())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise WrongLine(f"key {twice!r} is there twice; each key may be given once")
    return found


def _no_constant(text: str) -> None:
    raise WrongLine(f"{text} is not JSON; a number must be finite")


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise WrongLine(f"is not UTF-8 (byte {error.start + 1}); save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise WrongLine(f"is not JSON: {error.msg} at column {error.colno}; each line holds one JSON object") from None
    except RecursionError:
        raise WrongLine("is nested too deeply; each line holds one flat JSON object") from None
    except WrongLine:
        raise
    except ValueError as error:
        raise WrongLine(f"is not JSON that can be read: {error}") from None
    if not isinstance(value, dict):
        raise WrongLine(f'is a JSON {type(value).__name__}, not an object such as {{"at": …, "op": …}}')
    return value


def _explain(error: ValidationError) -> str:
    texts = []
    for item in error.errors(include_url=False):
        key = str(item["loc"][0]) if item["loc"] else "line"
        if item["type"] == "missing":
            texts.append(f"key {key!r} is missing; needed are 'at', 'op' and 'object'")
        elif item["type"] == "extra_forbidden":
            texts.append(f"key {key!r} is unknown; allowed are {', '.join(_KEYS)}")
        elif item["type"] == "value_error":
            texts.append(f"{key}: {item['ctx']['error']}")
        else:
            wanted = {"fields": "an object of field names and values", "system": "true or false"}.get(key, "a string")
            texts.append(f"{key}: {item['input']!r} is not {wanted}")
    return "; ".join(texts)


def read_line(raw: bytes, *, number: int, schema: Schema) -> Event:
    """Read one line.

    :param raw: the line, UTF-8, without white space around it.
    :param number: its number in the file, from 1.
    :param schema: the org's schema, for the fields and their types.
    :returns: the event, with Ids of 18 characters and values as the store keeps them.
    :raises WrongLine: if something in it is not allowed.
    """
    data = _decode(raw)
    try:
        line = _Line.model_validate(data)
    except ValidationError as error:
        raise WrongLine(_explain(error)) from None
    sobject = schema.objects[line.object]
    _check_keys(line, sobject)
    fields = {name: _value(name, value, op=line.op, sobject=sobject) for name, value in (line.fields or {}).items()}
    return Event(
        at=line.at,
        op=line.op,
        object=line.object,
        id=None if line.id is None else to_18(line.id),
        fields=fields,
        visible_at=line.visible_at,
        system=line.system,
        line=number,
    )


def _check_keys(line: _Line, sobject: SObject) -> None:
    """Refuse keys and values that do not go together."""
    if line.op == "refresh":
        for key, given in (("Id", line.id is not None), ("visible_at", line.visible_at is not None)):
            if given:
                raise WrongLine(f"{key}: not allowed with op refresh; it takes at, op and object only")
    elif line.id is None:
        raise WrongLine(f"key 'Id' is missing; op {line.op} needs the Id of a record")
    elif not is_id(line.id) or not line.id.startswith(sobject.key_prefix):
        raise WrongLine(
            f"Id: {line.id!r} is not the Id of a {sobject.name}; "
            f"allowed are 15 or 18 letters and digits that begin with {sobject.key_prefix}"
        )
    if line.op in ("delete", "undelete") and sobject.field("IsDeleted") is None:
        raise WrongLine(
            f"op: {line.op!r} is not allowed on {sobject.name}: users are deactivated in Salesforce, not deleted; "
            "update IsActive to false, or use purge or hide"
        )
    if line.fields and line.op not in TAKES_FIELDS:
        raise WrongLine(f"fields: op {line.op} takes none; allowed with {' and '.join(TAKES_FIELDS)}")
    if line.system and line.op not in TAKES_FIELDS:
        raise WrongLine(f"system: true is not allowed with op {line.op}; allowed with {' and '.join(TAKES_FIELDS)}")
    if line.visible_at is not None and line.visible_at < line.at:
        raise WrongLine(
            f"visible_at: {timestamps.iso(line.visible_at)} is before at; allowed is at or later "
            f"({timestamps.iso(line.at)} or after)"
        )


def _value(name: str, value: Any, *, op: str, sobject: SObject) -> Any:
    """Return a field's value as the store keeps it, or refuse it."""
    if name in SET_BY_THE_ORG:
        raise WrongLine(f"fields.{name}: set by the org itself; allowed are other fields of {sobject.name}")
    item = sobject.by_exact_name.get(name)
    if item is None:
        near = sobject.field(name)
        hint = f"; did you mean {near.name}?" if near else "; allowed are the fields of its describe"
        raise WrongLine(f"fields.{name}: {sobject.name} has no such field{hint}")
    if item.is_compound:
        parts = ", ".join(part.name for part in sobject.components(item))
        raise WrongLine(f"fields.{name}: a compound field; set its parts instead ({parts})")
    if name == "CreatedDate" and (op != "insert" or value is None):
        raise WrongLine("fields.CreatedDate: allowed on insert only, and never null")
    if value is None:
        return False if item.type == "boolean" else None
    try:
        return _typed(item, value)
    except ValueError as error:
        raise WrongLine(f"fields.{name}: {error}") from None


def _typed(item: Field, value: Any) -> Any:
    if item.type == "boolean":
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is not a boolean; allowed are true and false")
        return value
    if item.type in NUMBER_TYPES:
        whole = item.type in ("int", "long")
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ValueError(f"{value!r} is not {'a whole number' if whole else 'a number'} or null")
        if abs(value) >= (2**31 if item.type == "int" else 2**63):
            raise ValueError(f"{value!r} is too large for a field of type {item.type}")
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string or null")
    if _SURROGATE.search(value):
        raise ValueError(f"{value!r} holds half of a surrogate pair, which is no character; write the whole character")
    if item.type == "datetime":
        return timestamps.parse(value)
    if item.type == "date":
        return timestamps.parse_date(value)
    if item.type in ID_TYPES:
        return to_18(value) if value else None
    if item.type in TEXT_TYPES and len(value) > item.length:
        raise ValueError(f"has {len(value)} characters; allowed are {item.length}")
    return value or None
