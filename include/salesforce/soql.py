"""SOQL, built from validated parts only: no identifier, literal or value reaches a query unchecked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from include.config.object_file import API_NAME

_IDENTIFIER = re.compile(API_NAME)
_MAX_IDENTIFIER = 80

_ESCAPES = {
    "\\": "\\\\",
    "'": "\\'",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


class UnsafeSoql(ValueError):
    """A value cannot be part of a SOQL query; the message names it."""


def identifier(name: str) -> str:
    """An API name, checked.

    :param name: name of a field or object.
    :raises UnsafeSoql: when it is anything but letters, digits and single or double underscores in between.
    """
    if not isinstance(name, str) or len(name) > _MAX_IDENTIFIER or not _IDENTIFIER.fullmatch(name):
        raise UnsafeSoql(
            f"{name!r:.120} is not an API name of Salesforce: letters, digits and underscores in between are allowed, "
            f"at most {_MAX_IDENTIFIER} characters. Correct it in the object file."
        )
    return name


def moment(value: datetime) -> str:
    """A datetime literal in UTC, `2026-01-05T06:00:00Z`.

    Salesforce reads milliseconds at most. Finer bounds are rounded up: no value that Salesforce can hold then changes
    sides of a half-open window.

    :param value: an aware datetime.
    :raises UnsafeSoql: when it has no time zone.
    """
    if value.tzinfo is None:
        raise UnsafeSoql(f"{value!r} has no time zone; SOQL needs a moment. Give it in UTC, as 2026-01-05T06:00:00Z.")
    try:
        utc = value.astimezone(UTC)
        if rest := utc.microsecond % 1000:
            utc += timedelta(microseconds=1000 - rest)
    except OverflowError:
        raise UnsafeSoql(
            f"{value!r} lies outside the years 0001 to 9999 in UTC. Give a moment such as 2026-01-05T06:00:00Z."
        ) from None
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds" if utc.microsecond else "seconds") + "Z"


def quoted(value: str) -> str:
    """A string literal with Salesforce's escapes.

    :param value: any text without NUL or lone surrogates.
    :raises UnsafeSoql: when the text holds a character that no query can carry.
    """
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise UnsafeSoql(f"{value!r:.120} holds NUL or half a surrogate pair, which SOQL cannot carry. Remove it.")
    return "'" + "".join(_ESCAPES.get(character, character) for character in value) + "'"


def select(*, fields: Sequence[str], object_name: str, where: str = "", order_by: Sequence[str] = ()) -> str:
    """A query for rows.

    :param fields: API names, at least one.
    :param object_name: API name.
    :param where: condition built by this package, without the word; '' for none.
    :param order_by: API names, ascending.
    :raises UnsafeSoql: naming what is not an API name.
    """
    if not fields:
        raise UnsafeSoql(f"no field to select from {object_name!r}. List fields in the object file.")
    return _joined(
        ("SELECT", _list(fields)),
        ("FROM", identifier(object_name)),
        ("WHERE", where),
        ("ORDER BY", _list(order_by)),
    )


def count(*, object_name: str, where: str = "") -> str:
    """A query for the number of rows.

    :param object_name: API name.
    :param where: condition built by this package, without the word; '' for none.
    :raises UnsafeSoql: naming what is not an API name.
    """
    return _joined(("SELECT", "COUNT()"), ("FROM", identifier(object_name)), ("WHERE", where))


def between(*, field: str, start: datetime | None, end: datetime | None) -> str:
    """The half-open condition start ≤ field < end.

    :param field: API name of a datetime field.
    :param start: inclusive; None: unbounded.
    :param end: exclusive; None: unbounded.
    """
    name = identifier(field)
    bounds = [f"{name} >= {moment(start)}" if start else "", f"{name} < {moment(end)}" if end else ""]
    return " AND ".join(bound for bound in bounds if bound)


def _list(names: Sequence[str]) -> str:
    return ", ".join(identifier(name) for name in names)


def _joined(*clauses: tuple[str, str]) -> str:
    return " ".join(f"{keyword} {content}" for keyword, content in clauses if content)
