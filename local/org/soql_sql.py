"""SOQL to SQL over the store: every value is a bound parameter, every name one of the schema's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from local.org.errors import SalesforceError
from local.org.ids import is_id, to_18
from local.org.schema import ID_TYPES, NUMBER_TYPES, TEXT_TYPES, Field, Schema, SObject
from local.org.soql import Combination, Comparison, Condition, Literal, Name, Query, complaint, parse

MAX_OFFSET = 2000
_SIGNS = {"=": "=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@dataclass(frozen=True)
class Plan:
    """A query that fits the schema, as pieces of SQL with their parameters."""

    query: Query
    sobject: SObject
    fields: tuple[Field, ...]
    where: str
    parameters: tuple[Any, ...]
    order: str

    @property
    def limits(self) -> str:
        """The LIMIT and OFFSET clause (numbers only)."""
        if self.query.limit is None and self.query.offset is None:
            return ""
        limit = -1 if self.query.limit is None else self.query.limit
        return f" LIMIT {limit} OFFSET {self.query.offset or 0}"


def plan(text: str, *, schema: Schema, expression: Callable[[SObject], Callable[[Field], str]]) -> Plan:
    """Parse a query and check it against the schema.

    :param text: SOQL.
    :param schema: the org's schema; fields hidden from the user do not exist for it.
    :param expression: gives, for an object, the function from a field to its SQL expression.
    :raises SalesforceError: MALFORMED_QUERY, INVALID_TYPE, INVALID_FIELD or INVALID_QUERY_FILTER_OPERATOR.
    """
    query = parse(text)
    sobject = schema.visible(query.sobject.text)
    if sobject is None:
        raise complaint(
            "INVALID_TYPE",
            text,
            query.sobject.position,
            f"sObject type '{query.sobject.text}' is not supported. If you are attempting to use a custom object, "
            "be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for "
            "the appropriate names.",
        )
    compiler = _Compiler(query=query, sobject=sobject, expression=expression(sobject))
    fields = compiler.selected()
    try:
        where = compiler.condition(query.where) if query.where else "1"
    except RecursionError:
        raise SalesforceError("MALFORMED_QUERY", "conditions are nested too deeply") from None
    if query.offset is not None and query.offset > MAX_OFFSET:
        raise SalesforceError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}", status=400)
    return Plan(query, sobject, fields, where, tuple(compiler.parameters), compiler.ordering())


class _Compiler:
    """Compiles one query."""

    def __init__(self, *, query: Query, sobject: SObject, expression: Callable[[Field], str]) -> None:
        self.query = query
        self.sobject = sobject
        self.expression = expression
        self.parameters: list[Any] = []

    def field(self, name: Name) -> Field:
        """Return the field that a name means, or complain as Salesforce does."""
        if "." in name.text:
            relation, _, rest = name.text.partition(".")
            if relation.lower() != self.sobject.name.lower() or "." in rest:
                raise self._wrong(
                    name.position,
                    f"Didn't understand relationship '{relation}' in field path. If you are attempting to use a "
                    "custom relationship, be sure to append the '__r' after the custom relationship name. Please "
                    "reference your WSDL or the describe call for the appropriate names.",
                )
            name = Name(rest, name.position)
        found = self.sobject.field(name.text)
        if found is None:
            raise self._wrong(
                name.position,
                f"No such column '{name.text}' on entity '{self.sobject.name}'. If you are attempting to use a custom "
                "field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the "
                "describe call for the appropriate names.",
            )
        return found

    def selected(self) -> tuple[Field, ...]:
        fields: list[Field] = []
        for name in self.query.fields:
            field = self.field(name)
            if field in fields:
                raise SalesforceError("INVALID_FIELD", f"duplicate field selected: {field.name}")
            fields.append(field)
        return tuple(fields)

    def ordering(self) -> str:
        pieces = []
        for item in self.query.order:
            field = self.field(item.field)
            if not field.sortable or field.is_compound:
                raise self._wrong(item.field.position, f"field '{field.name}' can not be sorted in a query call")
            nulls = "" if item.nulls_last == item.descending else (" NULLS LAST" if item.nulls_last else " NULLS FIRST")
            pieces.append(f"{self._comparable(field)}{' DESC' if item.descending else ''}{nulls}")
        return f" ORDER BY {', '.join(pieces)}" if pieces else ""

    def condition(self, node: Condition) -> str:
        """Return SQL that is true where the condition holds, and false or null elsewhere."""
        if isinstance(node, Comparison):
            return self._comparison(node)
        if node.operator == "NOT":
            return f"NOT ifnull({self.condition(node.parts[0])}, 0)"
        return self._balanced(node)

    def _balanced(self, node: Combination) -> str:
        """Join parts in a balanced tree, because SQLite limits the depth of an expression."""
        pieces = [self.condition(part) for part in node.parts]
        while len(pieces) > 1:
            pairs = [pieces[place : place + 2] for place in range(0, len(pieces), 2)]
            pieces = [f"({f' {node.operator} '.join(pair)})" for pair in pairs]
        return pieces[0]

    def _comparison(self, node: Comparison) -> str:
        field = self.field(node.field)
        if not field.filterable or field.is_compound:
            raise self._wrong(node.field.position, f"field '{field.name}' can not be filtered in a query call")
        if field.type == "boolean" and node.operator not in ("=", "!=", "IN", "NOT IN"):
            raise self._bad_operator(node, "boolean")
        left = self._comparable(field)
        if node.operator == "LIKE":
            return self._like(left, field, node)
        values = [self._value(field, literal) for literal in node.values]
        if node.operator in ("IN", "NOT IN"):
            return self._membership(left, values, negated=node.operator == "NOT IN")
        (value,) = values
        if node.operator in ("=", "!="):
            if value is None:
                return f"{left} IS {'NOT ' if node.operator == '!=' else ''}NULL"
            if node.operator == "!=":
                return f"{left} IS NOT {self._bind(value)}"
        if value is None:
            raise SalesforceError("MALFORMED_QUERY", f"null can not be compared with {node.operator}; use = or !=")
        return f"{left} {_SIGNS[node.operator]} {self._bind(value)}"

    def _membership(self, left: str, values: list[Any], *, negated: bool) -> str:
        given = [self._bind(value) for value in values if value is not None]
        found = f"ifnull({left} IN ({', '.join(given)}), 0)" if negated else f"{left} IN ({', '.join(given)})"
        if len(given) < len(values):
            found = f"({found} OR {left} IS NULL)"
        return f"NOT {found}" if negated else found

    def _like(self, left: str, field: Field, node: Comparison) -> str:
        if field.type not in TEXT_TYPES:
            raise self._bad_operator(node, "id" if field.type in ID_TYPES else field.type)
        (literal,) = node.values
        if literal.kind != "string":
            raise self._wrong(
                literal.position,
                f"value of filter criterion for field '{field.name}' must be of type string and should be enclosed in "
                "quotes",
            )
        pattern = literal.value.lower()
        return f"{left} LIKE {self._bind(pattern)} ESCAPE '\\'"

    def _value(self, field: Field, literal: Literal) -> Any:
        """Return a literal in the form in which the store keeps such a field, or complain about its type."""
        if literal.kind == "null" or (literal.kind == "string" and literal.value == ""):
            return None
        whole = field.type in ("int", "long")
        match literal.kind:
            case "string" if field.type in ID_TYPES:
                return self._id(literal)
            case "string" if field.type in TEXT_TYPES:
                return literal.value.replace("\\_", "_").replace("\\%", "%").lower()
            case "number" if field.type in NUMBER_TYPES and not (whole and isinstance(literal.value, float)):
                return literal.value
            case "dateTime" if field.type == "datetime":
                return _seconds(literal.value)
            case "date" | "boolean" if field.type == literal.kind:
                return literal.value
        quoted = field.type in TEXT_TYPES | ID_TYPES
        wanted = "string" if field.type in TEXT_TYPES else {"datetime": "dateTime"}.get(field.type, field.type)
        quotes = "should be" if quoted else "should not be"
        raise self._wrong(
            literal.position,
            f"value of filter criterion for field '{field.name}' must be of type {wanted} "
            f"and {quotes} enclosed in quotes",
        )

    def _id(self, literal: Literal) -> str:
        if not is_id(literal.value):
            text, place = self.query.text, literal.position
            raise complaint("INVALID_QUERY_FILTER_OPERATOR", text, place, f"invalid ID field: {literal.value}")
        return to_18(literal.value)

    def _comparable(self, field: Field) -> str:
        found = self.expression(field)
        return f"sf_fold({found})" if field.type in TEXT_TYPES and found != "NULL" else found

    def _bind(self, value: Any) -> str:
        self.parameters.append(value)
        return "?"

    def _bad_operator(self, node: Comparison, kind: str) -> SalesforceError:
        return complaint(
            "INVALID_QUERY_FILTER_OPERATOR", self.query.text, node.field.position, f"invalid operator on {kind} field"
        )

    def _wrong(self, position: int, message: str) -> SalesforceError:
        return complaint("INVALID_FIELD", self.query.text, position, message)


def _seconds(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def bulk_refusal(plan_: Plan) -> SalesforceError | None:
    """Return why Bulk API 2.0 does not take a query, or None if it does.

    :param plan_: a query that fits the schema.
    """
    if plan_.query.is_count:
        return SalesforceError(
            "API_ERROR", "Aggregate Relationships not supported in Bulk V2 Query with CSV content type"
        )
    if plan_.query.offset is not None:
        return SalesforceError("API_ERROR", "OFFSET clause not supported in Bulk V2 Query")
    if any(field.is_compound for field in plan_.fields):
        return SalesforceError("API_ERROR", "Selecting compound data not supported in Bulk Query")
    if any(field.type == "base64" for field in plan_.fields):
        return SalesforceError("API_ERROR", "Selecting binary data not supported in Bulk Query")
    return None
