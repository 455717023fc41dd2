"""Running SOQL over the store."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from local.org import timestamps
from local.org.errors import SalesforceError, not_found
from local.org.schema import Field, SObject
from local.org.soql_sql import Plan, plan
from local.org.store import Store

Formatter = Callable[[Any], Any]


def _boolean(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _compound(value: Any) -> Any:
    return None if value is None else json.loads(value)


def _rest_datetime(value: Any) -> str | None:
    return None if value is None else timestamps.rest(value)


def _as_it_is(value: Any) -> Any:
    return value


def _real(value: Any) -> float | None:
    return float(value) if isinstance(value, int) else value


def rest_formatter(field: Field) -> Formatter:
    """Return the function that turns a stored value into the REST API's JSON value.

    :param field: the field.
    """
    if field.is_compound:
        return _compound
    return {
        "boolean": _boolean,
        "datetime": _rest_datetime,
        "double": _real,
        "currency": _real,
        "percent": _real,
    }.get(field.type, _as_it_is)


class Queries:
    """Plans and runs queries as the integration user, who sees no hidden record and no hidden field.

    :param store: the org's records.
    """

    def __init__(self, *, store: Store) -> None:
        self.store = store

    def plan(self, text: str) -> Plan:
        """Parse and check a query.

        :param text: SOQL.
        :raises SalesforceError: if it is malformed or does not fit the schema.
        """
        return plan(text, schema=self.store.schema, expression=self.store.expression)

    def sobject(self, name: str) -> SObject:
        """Return an object as the integration user sees it.

        :param name: its name.
        :raises SalesforceError: NOT_FOUND if there is none.
        """
        found = self.store.schema.visible(name)
        if found is None:
            raise not_found()
        return found

    def count(self, found: Plan, *, include_deleted: bool) -> int:
        """Return how many records a query finds, its LIMIT applied.

        :param found: the plan.
        :param include_deleted: whether soft-deleted records count.
        """
        inner = f"SELECT 1 FROM {self._source(found, include_deleted)}{found.limits}"
        sql = f"SELECT count(*) FROM ({inner})" if found.limits else inner.replace("SELECT 1", "SELECT count(*)", 1)
        return int(self._run(self.store.database.connection(), sql, found.parameters).fetchone()[0])

    def ids(self, found: Plan, *, include_deleted: bool) -> Iterator[str]:
        """Yield the Ids that a query finds, in its order.

        :param found: the plan.
        :param include_deleted: whether soft-deleted records are among them.
        """
        sql = f"SELECT f_Id FROM {self._source(found, include_deleted)}{found.order}{found.limits}"
        for (key,) in self._run(self.store.database.connection(), sql, found.parameters):
            yield key

    def rows(self, connection: sqlite3.Connection, found: Plan, *, include_deleted: bool) -> Iterator[tuple[Any, ...]]:
        """Yield the stored values that a query selects, in its order, without holding them.

        :param connection: where to read: what it sees is one state of the org.
        :param found: the plan.
        :param include_deleted: whether soft-deleted records are among them.
        """
        expression = self.store.expression(found.sobject)
        columns = ", ".join(expression(field) for field in found.fields)
        sql = f"SELECT {columns} FROM {self._source(found, include_deleted)}{found.order}{found.limits}"
        yield from self._run(connection, sql, found.parameters)

    def lines(
        self,
        connection: sqlite3.Connection,
        found: Plan,
        line: Callable[[Callable[[Field], str]], str],
        *,
        include_deleted: bool,
    ) -> Iterator[bytes]:
        """Yield what a query selects as lines that SQLite writes, in UTF-8: many times faster than rows.

        :param connection: where to read; from now on it gives texts as bytes.
        :param found: the plan.
        :param line: makes the line's SQL expression of the fields'.
        :param include_deleted: whether soft-deleted records are among them.
        """
        expression = line(self.store.expression(found.sobject))
        connection.text_factory = bytes
        sql = f"SELECT {expression} FROM {self._source(found, include_deleted)}{found.order}{found.limits}"
        for (text,) in self._run(connection, sql, found.parameters):
            yield text

    def records(
        self, sobject: SObject, fields: Sequence[Field], ids: Sequence[str], *, version: str, include_deleted: bool
    ) -> list[dict[str, Any]]:
        """Return records by Id as the REST API writes them; those that are gone are left out.

        :param sobject: the object.
        :param fields: the fields, in order.
        :param ids: Ids of 18 characters, in order.
        :param version: the API version of the request.
        :param include_deleted: whether soft-deleted records are among them.
        """
        expression = self.store.expression(sobject)
        columns = ", ".join(["f_Id", *(expression(field) for field in fields)])
        sql = (
            f'SELECT {columns} FROM "rec_{sobject.name}" WHERE f_Id IN (SELECT value FROM json_each(?)) AND '
            f"{_present(include_deleted)}"
        )
        rows = self._run(self.store.database.connection(), sql, (json.dumps(list(ids)),))
        by_id = {row[0]: row[1:] for row in rows}
        formatters = [(field.name, rest_formatter(field)) for field in fields]
        base = f"/services/data/v{version}/sobjects/{sobject.name}"
        return [
            {
                "attributes": {"type": sobject.name, "url": f"{base}/{key}"},
                **{name: form(value) for (name, form), value in zip(formatters, by_id[key], strict=True)},
            }
            for key in ids
            if key in by_id
        ]

    def changed(self, sobject: SObject, *, start: int, end: int) -> list[str]:
        """Return the Ids of records whose SystemModstamp lies in [start, end), for getUpdated.

        :param sobject: the object.
        :param start: seconds since 1970.
        :param end: seconds since 1970.
        """
        rows = self.store.database.connection().execute(
            f'SELECT f_Id FROM "rec_{sobject.name}" WHERE f_SystemModstamp >= ? AND f_SystemModstamp < ? '
            f"AND {_present(False)} ORDER BY f_Id",
            (start, end),
        )
        return [key for (key,) in rows]

    def deleted(self, sobject: SObject, *, start: int, end: int) -> list[tuple[str, int]]:
        """Return Ids and times of records soft-deleted in [start, end), for getDeleted.

        :param sobject: the object.
        :param start: seconds since 1970.
        :param end: seconds since 1970.
        """
        return (
            self.store.database.connection()
            .execute(
                f'SELECT f_Id, deleted_at FROM "rec_{sobject.name}" WHERE f_IsDeleted = 1 AND hidden = 0 '
                "AND deleted_at >= ? AND deleted_at < ? ORDER BY deleted_at, f_Id",
                (start, end),
            )
            .fetchall()
        )

    @staticmethod
    def _source(found: Plan, include_deleted: bool) -> str:
        return f'"rec_{found.sobject.name}" WHERE ({found.where}) AND {_present(include_deleted)}'

    @staticmethod
    def _run(connection: sqlite3.Connection, sql: str, parameters: Sequence[Any]) -> sqlite3.Cursor:
        try:
            return connection.execute(sql, parameters)
        except (sqlite3.OperationalError, OverflowError, UnicodeEncodeError) as error:
            raise SalesforceError("MALFORMED_QUERY", f"the query cannot be run: {error}") from error


def _present(include_deleted: bool) -> str:
    return "hidden = 0" if include_deleted else "hidden = 0 AND f_IsDeleted = 0"
