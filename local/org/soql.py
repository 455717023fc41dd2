"""SOQL, parsed: from text to a tree, with Salesforce's complaints about what is malformed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken
from lark.exceptions import VisitError

from local.org import timestamps
from local.org.errors import SalesforceError

MAX_LENGTH = 100_000
_EXCERPT = 100
_ESCAPES = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "b": "\b",
    "f": "\f",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "_": "\\_",
    "%": "\\%",
}
_ESCAPED = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)


@dataclass(frozen=True)
class Name:
    """A name and its place in the query's text."""

    text: str
    position: int


@dataclass(frozen=True)
class Literal:
    """A value in the query. ``kind`` is string, dateTime, date, number, boolean or null."""

    kind: str
    value: Any
    position: int


@dataclass(frozen=True)
class Comparison:
    """A field compared with one value, or with a list of them (IN, NOT IN)."""

    field: Name
    operator: str
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Combination:
    """Conditions of which all (AND) or some (OR) hold, or one does not (NOT)."""

    operator: str
    parts: tuple[Condition, ...]


Condition = Comparison | Combination


@dataclass(frozen=True)
class Ordering:
    """One field of ORDER BY."""

    field: Name
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    """A parsed query. ``fields`` is empty for ``SELECT count()``."""

    text: str
    fields: tuple[Name, ...]
    sobject: Name
    where: Condition | None
    order: tuple[Ordering, ...]
    limit: int | None
    offset: int | None

    @property
    def is_count(self) -> bool:
        """Tell whether the query counts."""
        return not self.fields


def complaint(code: str, text: str, position: int, message: str) -> SalesforceError:
    """Return an error that shows where in the query something is wrong, as Salesforce does.

    :param code: Salesforce's error code.
    :param text: the query.
    :param position: the offset into it, from 0.
    :param message: what is wrong.
    """
    before = text[:position]
    row = before.count("\n") + 1
    start = before.rfind("\n") + 1
    end = text.find("\n", position)
    column = position - start
    left = max(start, position - _EXCERPT)
    line = text[left : min(len(text) if end < 0 else end, position + _EXCERPT)]
    pointer = " " * (position - left) + "^"
    return SalesforceError(code, f"\n{line}\n{pointer}\nERROR at Row:{row}:Column:{column + 1}\n{message}")


def _malformed(text: str, position: int, message: str) -> SalesforceError:
    return complaint("MALFORMED_QUERY", text, position, message)


def _unescape(body: str) -> str:
    """Resolve the escapes of a string; ``\\_`` and ``\\%`` stay as they are, for LIKE."""

    def replace(found: re.Match[str]) -> str:
        escape = found[1]
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPES:
            raise ValueError(f"Illegal escape sequence: \\{escape}")
        return _ESCAPES[escape]

    return _ESCAPED.sub(replace, body)


class _Builder(Transformer[Token, Any]):
    """Turns the parser's rules into the classes above."""

    def name(self, children: list[Token]) -> Name:
        return Name(str(children[0]), children[0].start_pos or 0)

    def literal(self, children: list[Token]) -> Literal:
        token = children[0]
        text, position = str(token), token.start_pos or 0
        match token.type:
            case "STRING":
                return Literal("string", _unescape(text[1:-1]), position)
            case "DATETIME":
                return Literal("dateTime", timestamps.parse_exact(text), position)
            case "DATE":
                return Literal("date", timestamps.parse_date(text), position)
            case "NUMBER":
                return Literal("number", float(text) if re.search(r"[.eE]", text) else int(text), position)
            case "NULL":
                return Literal("null", None, position)
            case _:
                return Literal("boolean", text.lower() == "true", position)

    def values(self, children: list[Literal]) -> tuple[Literal, ...]:
        return tuple(children)

    def compare(self, children: list[Any]) -> Comparison:
        field, operator, values = children
        sign = " ".join(str(operator).upper().split())
        return Comparison(field, "!=" if sign == "<>" else sign, values if isinstance(values, tuple) else (values,))

    def and_(self, children: list[Condition]) -> Combination:
        return Combination("AND", tuple(children))

    def or_(self, children: list[Condition]) -> Combination:
        return Combination("OR", tuple(children))

    def not_(self, children: list[Condition]) -> Combination:
        return Combination("NOT", tuple(children))

    def count(self, _children: list[Token]) -> dict[str, Any]:
        return {"fields": ()}

    def fields(self, children: list[Name]) -> dict[str, Any]:
        return {"fields": tuple(children)}

    def where(self, children: list[Condition]) -> dict[str, Any]:
        return {"where": children[0]}

    def ordering(self, children: list[Any]) -> Ordering:
        words = {token.type for token in children[1:]}
        return Ordering(children[0], "DESC" in words, "NULLS_LAST" in words)

    def order(self, children: list[Ordering]) -> dict[str, Any]:
        return {"order": tuple(children)}

    def limit(self, children: list[Token]) -> dict[str, Any]:
        return {"limit": _whole(children[0])}

    def offset(self, children: list[Token]) -> dict[str, Any]:
        return {"offset": _whole(children[0])}

    def query(self, children: list[Any]) -> dict[str, Any]:
        select, sobject, *clauses = children
        merged: dict[str, Any] = {
            "sobject": sobject,
            "where": None,
            "order": (),
            "limit": None,
            "offset": None,
            **select,
        }
        for clause in clauses:
            merged.update(clause)
        return merged


def _whole(token: Token) -> int:
    if not token.isdigit():
        raise ValueError(f"unexpected token: '{token}'")
    return int(token)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    grammar = resources.files(__package__).joinpath("soql.lark").read_text(encoding="utf-8")
    return Lark(grammar, start="query", parser="lalr", lexer="contextual", transformer=_Builder())


def parse(text: str) -> Query:
    """Parse a query.

    :param text: SOQL.
    :raises SalesforceError: MALFORMED_QUERY with the place and the unexpected token.
    """
    if len(text) > MAX_LENGTH:
        raise SalesforceError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {MAX_LENGTH} characters.")
    if not text.strip():
        raise SalesforceError("MALFORMED_QUERY", "A query string has to be specified")
    try:
        parts: Any = _parser().parse(text)
    except UnexpectedToken as error:
        at_end = error.token.type == "$END"
        position = len(text.rstrip()) if at_end else (error.token.start_pos or 0)
        shown = "<EOF>" if at_end else str(error.token)
        raise _malformed(text, position, f"unexpected token: '{shown}'") from None
    except UnexpectedCharacters as error:
        position = error.pos_in_stream or 0
        raise _malformed(text, position, _character(text, position)) from None
    except UnexpectedEOF:
        raise _malformed(text, len(text), "unexpected token: '<EOF>'") from None
    except VisitError as error:
        raise SalesforceError("MALFORMED_QUERY", str(error.orig_exc)) from None
    except ValueError as error:
        raise SalesforceError("MALFORMED_QUERY", str(error)) from None
    return Query(text=text, **parts)


def _character(text: str, position: int) -> str:
    row = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position) - 1
    if text[position] == "'":
        return f"line {row}:{column} mismatched character '<EOF>' expecting '''"
    return f"line {row}:{column} no viable alternative at character '{text[position]}'"
