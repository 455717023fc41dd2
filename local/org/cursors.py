"""Query cursors: the Ids that a query found, so that later pages belong to the same result.

As in Salesforce a cursor holds Ids, not values: a record that changes between two pages shows its new values, and one
that goes away makes its page shorter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from local.org.database import Database
from local.org.errors import invalid_locator
from local.org.ids import numbered

LIFETIME_SECONDS = 2 * 24 * 3600
MAX_OPEN = 100
_ID_BYTES = 18
_LOCATOR = re.compile(r"(01g[A-Za-z0-9]{15})-(\d{1,10})", re.ASCII)


@dataclass(frozen=True)
class Page:
    """A page of a cursor. ``next_locator`` is None on the last one."""

    object: str
    fields: tuple[str, ...]
    include_deleted: bool
    ids: tuple[str, ...]
    total: int
    next_locator: str | None


class Cursors:
    """The open cursors; the oldest are closed when there are more than Salesforce would keep.

    :param database: the org's file.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def open(
        self, *, sobject: str, fields: Sequence[str], include_deleted: bool, page: int, ids: Sequence[str], at: int
    ) -> Page:
        """Keep a result and return its first page. A result of one page is not kept.

        :param sobject: the object's name.
        :param fields: the names of the selected fields.
        :param include_deleted: whether it was a queryAll.
        :param page: records to a page.
        :param ids: all Ids found, in order.
        :param at: the org's time, in seconds since 1970.
        """
        locator = None
        if len(ids) > page:
            with self._database.write() as connection:
                number = connection.execute(
                    "INSERT INTO cursors (object, fields, include_deleted, page, opened, ids) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    (sobject, json.dumps(list(fields)), include_deleted, page, at, "".join(ids).encode()),
                ).lastrowid
                connection.execute("DELETE FROM cursors WHERE number <= ?", ((number or 0) - MAX_OPEN,))
            locator = f"{numbered('01g', number or 0)}-{page}"
        return Page(sobject, tuple(fields), include_deleted, tuple(ids[:page]), len(ids), locator)

    def page(self, locator: str, *, at: int) -> Page:
        """Return a later page.

        :param locator: what the page before gave as the next.
        :param at: the org's time, in seconds since 1970.
        :raises SalesforceError: INVALID_QUERY_LOCATOR if it is unknown or older than two days.
        """
        found = _LOCATOR.fullmatch(locator)
        rows = self._database.connection().execute(
            "SELECT number, object, fields, include_deleted, page, opened, length(ids) FROM cursors"
        )
        match = [row for row in rows if found and numbered("01g", row[0]) == found[1]]
        if found is None or not match:
            raise invalid_locator()
        number, sobject, fields, include_deleted, size, opened, length = match[0]
        start, total = int(found[2]), length // _ID_BYTES
        if at - opened > LIFETIME_SECONDS or start >= total:
            raise invalid_locator()
        (blob,) = (
            self._database.connection()
            .execute(
                "SELECT substr(ids, ?, ?) FROM cursors WHERE number = ?",
                (start * _ID_BYTES + 1, size * _ID_BYTES, number),
            )
            .fetchone()
        )
        ids = tuple(blob[place : place + _ID_BYTES].decode() for place in range(0, len(blob), _ID_BYTES))
        more = f"{found[1]}-{start + size}" if start + size < total else None
        return Page(sobject, tuple(json.loads(fields)), bool(include_deleted), ids, total, more)

    def count(self) -> int:
        """Return the number of open cursors."""
        return int(self._database.connection().execute("SELECT count(*) FROM cursors").fetchone()[0])
