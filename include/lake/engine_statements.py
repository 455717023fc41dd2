"""The upsert's rules as SQL, the same on Athena and on Trino. What each means is said in `observations` and `mirror`.

Sources are read as they are; what is written is a draft. All of it counts only if nobody has logged anything meanwhile,
which the commit that publishes the draft makes sure of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from include.lake.log_span import Span
from include.lake.sql_engine import column, moment, table_name, text

#: Columns of the incoming records beside the source columns.
ACCEPTED, HASH = "_accepted", "_row_hash"
_IDENTITY = ("_extracted_at", "_extraction_run_id", "_row_hash")
_PLACE = "_place"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What every observation of a run has in common.

    :param run_id: the run.
    :param extracted_at: its extraction attempt.
    :param window_end: end of its window.
    :param observed: source columns that it observes.
    :param cursor: the column that orders observations inside a window.
    """

    run_id: str
    extracted_at: datetime
    window_end: datetime
    observed: str
    cursor: str


@dataclass(frozen=True, kw_only=True)
class Statements:
    """Statements about one object's tables.

    :param mirror: its name.
    :param changes: the log's name.
    :param batch: the run.
    :param newest: the run's window ends after all that the log holds: the mirror's row of an Id is the log's last then.
    """

    mirror: str
    changes: str
    batch: Batch
    newest: bool

    # ------------------------------------------------------------------ what is accepted

    @staticmethod
    def repeated(incoming: str) -> str:
        """Ids that were accepted more than once.

        :param incoming: the incoming records.
        """
        return (
            f"SELECT id FROM {table_name(incoming)} WHERE {column(ACCEPTED)} GROUP BY id HAVING count(*) > 1 "
            "ORDER BY id LIMIT 5"
        )

    def log(self, *, draft: str, incoming: str, columns: Sequence[str], deletions: str | None) -> str:
        """Write what is new to a draft of the log: accepted records that differ, and deletions.

        :param draft: of the log.
        :param incoming: the incoming records.
        :param columns: source columns.
        :param deletions: observations that records are gone, in the log's columns, if there are any.
        """
        batch = self.batch
        given = {
            "_extracted_at": moment(batch.extracted_at),
            "_extraction_run_id": text(batch.run_id),
            "_row_hash": column(HASH, of="i"),
            "_change": text("upsert"),
            "_window_end": moment(batch.window_end),
            "_observed_columns": text(batch.observed),
        }
        names = ", ".join(column(name) for name in (*columns, *given))
        values = ", ".join((*(column(name, of="i") for name in columns), *given.values()))
        cursor = column(batch.cursor, of="i")
        lines = [
            f"INSERT INTO {table_name(draft)} ({names})",
            f"SELECT {values}",
            f"FROM {table_name(incoming)} i",
            f"LEFT JOIN ({self._before(incoming)}) b ON b.id = i.id",
        ]
        conditions = [
            column(ACCEPTED, of="i"),
            f"({cursor} IS NULL OR {cursor} < {moment(batch.window_end)})",
            f"(b.id IS NULL OR b.change <> 'upsert' OR b.hash <> {column(HASH, of='i')})",
        ]
        if not self.newest:
            # What an attempt that did not get to its end has logged already.
            lines.append(f"LEFT JOIN ({self._of_this_batch()}) o ON o.id = i.id")
            conditions.append("o.id IS NULL")
        lines.append(f"WHERE {' AND '.join(conditions)}")
        if deletions:
            lines += ["UNION ALL", f"SELECT {names} FROM {table_name(deletions)}"]
        return "\n".join(lines)

    def _before(self, incoming: str) -> str:
        """Each Id's last observation at or before the run's window end: id, hash, change."""
        if not self.newest:
            until = Span(newest_end=self.batch.window_end)
            ids = f"SELECT id FROM {table_name(incoming)}"
            last = self._last((HASH, "_change"), f"{until.condition('l')} AND l.id IN ({ids})")
            return f"SELECT id, {column(HASH)} AS hash, {column('_change')} AS change FROM ({last})"
        # Only a row that says isdeleted can come from a deletion found by absence.
        return (
            f"SELECT m.id, {column(HASH, of='m')} AS hash, "
            "CASE WHEN d.id IS NULL THEN 'upsert' ELSE 'delete' END AS change "
            f"FROM {table_name(self.mirror)} m "
            f"LEFT JOIN (SELECT DISTINCT id, {column('_extracted_at')}, {column(HASH)} "
            f"FROM {table_name(self.changes)} WHERE {column('_change')} = 'delete') d ON d.id = m.id "
            f"AND {_same('d', 'm', ('_extracted_at', HASH))} AND m.isdeleted"
        )

    def _of_this_batch(self) -> str:
        batch = self.batch
        return (
            f"SELECT DISTINCT id FROM {table_name(self.changes)} WHERE {column('_extracted_at')} = "
            f"{moment(batch.extracted_at)} AND {column('_extraction_run_id')} = {text(batch.run_id)}"
        )

    # ------------------------------------------------------------------ what is gone

    def absence(self, incoming: str, register: Register | None) -> str:
        """How many rows of the mirror are alive, and how many of them are gone.

        :param incoming: the incoming records.
        :param register: of erasures, if there were any: who is in it leaves whether it is there or not.
        """
        leaving = "" if register is None else " AND e.id_digest IS NULL"
        counted = "count(*)" if register is None else "count_if(i.id IS NOT NULL OR e.id_digest IS NULL)"
        return (
            f"SELECT {counted}, count_if(i.id IS NULL{leaving}) FROM {self._alive(incoming, register)} "
            "WHERE NOT coalesce(m.isdeleted, false)"
        )

    def gone(self, incoming: str, register: Register | None, limit: int) -> str:
        """The first Ids that are gone.

        :param incoming: the incoming records.
        :param register: of erasures, if there were any.
        :param limit: how many.
        """
        return (
            f"SELECT m.id FROM {self._alive(incoming, register)} WHERE {_GONE}{_not_erased(register)} "
            f"ORDER BY m.id LIMIT {limit:d}"
        )

    def keep_gone(self, *, into: str, columns: Sequence[str], incoming: str, register: Register | None) -> str:
        """Write the mirror's rows of the Ids that are gone to a table, with what their last observations had observed.

        :param into: the table.
        :param columns: the mirror's columns.
        :param incoming: the incoming records.
        :param register: of erasures, if there were any.
        """
        names = ", ".join(column(name) for name in (*columns, "_observed_columns"))
        values = ", ".join(column(name, of="m") for name in columns)
        keys = ", ".join(column(name) for name in ("id", "_extracted_at", HASH))
        lines = [
            f"INSERT INTO {table_name(into)} ({names})",
            f"SELECT {values}, l.observed",
            f"FROM {self._alive(incoming, register)}",
            f"LEFT JOIN (SELECT {keys}, max({column('_observed_columns')}) AS observed FROM {table_name(self.changes)} "
            f"GROUP BY {keys}) l ON l.id = m.id AND {_same('l', 'm', ('_extracted_at', HASH))}",
        ]
        spared = ""
        if not self.newest:
            later = f"{column('_window_end')} > {moment(self.batch.window_end)}"
            lines.append(
                f"LEFT JOIN (SELECT DISTINCT id FROM {table_name(self.changes)} WHERE {later}) s ON s.id = m.id"
            )
            spared = " AND s.id IS NULL"
        lines.append(f"WHERE {_GONE}{_not_erased(register)}{spared}")
        return "\n".join(lines)

    def _alive(self, incoming: str, register: Register | None) -> str:
        tables = (
            f"{table_name(self.mirror)} m LEFT JOIN (SELECT DISTINCT id FROM {table_name(incoming)}) i ON i.id = m.id"
        )
        return tables if register is None else f"{tables} {register.join('m')}"

    # ------------------------------------------------------------------ the mirror

    def merge(self, *, draft: str, columns: Sequence[str], since: Span) -> str:
        """Bring a draft of the mirror up to the log: the last observation of each Id that was logged since.

        :param draft: of the mirror.
        :param columns: the mirror's columns.
        :param since: bounds of what was logged since.
        """
        names = ", ".join(column(name) for name in columns)
        return "\n".join(
            (
                f"MERGE INTO {table_name(draft)} t",
                f"USING ({self._last_since(columns, since)}) s",
                "ON t.id = s.id",
                f"WHEN MATCHED AND {_differs('t', 's')} THEN UPDATE SET "
                + ", ".join(f"{column(name)} = {column(name, of='s')}" for name in columns),
                f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ("
                + ", ".join(column(n, of="s") for n in columns)
                + ")",
            )
        )

    def lacking(self, since: Span) -> str:
        """What the mirror lacks: own Ids that are new, own that changed, and others'.

        :param since: bounds of what was logged since.
        """
        batch = self.batch
        own = (
            f"(s.{column('_extraction_run_id')} = {text(batch.run_id)} "
            f"AND s.{column('_extracted_at')} = {moment(batch.extracted_at)})"
        )
        return (
            f"SELECT count_if({own} AND t.id IS NULL), count_if({own} AND t.id IS NOT NULL), count_if(NOT {own}) "
            f"FROM ({self._last_since(('id', *_IDENTITY), since)}) s "
            f"LEFT JOIN {table_name(self.mirror)} t ON t.id = s.id "
            f"WHERE t.id IS NULL OR {_differs('t', 's')}"
        )

    def _last_since(self, columns: Sequence[str], since: Span) -> str:
        ids = f"SELECT n.id FROM {table_name(self.changes)} n WHERE {since.condition('n')}"
        oldest = Span(oldest_end=since.oldest_end)
        return self._last(columns, f"{oldest.condition('l')} AND l.id IN ({ids})")

    def _last(self, columns: Sequence[str], condition: str) -> str:
        """Of each Id the last of the log's rows that meet a condition; a missing cursor comes before every other."""
        order = ", ".join(
            f"{column(name, of='l')} DESC NULLS LAST"
            for name in ("_window_end", self.batch.cursor, "_extracted_at", "_row_hash")
        )
        wanted = tuple(dict.fromkeys(("id", *columns)))
        inner = ", ".join(column(name, of="l") for name in wanted)
        names = ", ".join(column(name) for name in wanted)
        return (
            f"SELECT {names} FROM (SELECT {inner}, row_number() OVER (PARTITION BY l.id ORDER BY {order}) AS "
            f"{column(_PLACE)} FROM {table_name(self.changes)} l WHERE {condition}) WHERE {column(_PLACE)} = 1"
        )


@dataclass(frozen=True, kw_only=True)
class Register:
    """The register of erasures, as a join.

    :param table: its name.
    :param object_name: API name of the object.
    :param org_id: 18-character id of the org.
    """

    table: str
    object_name: str
    org_id: str

    def join(self, of: str) -> str:
        """Who of a table's Ids is in it, as alias `e`.

        :param of: alias of the table.
        """
        digest = f"lower(to_hex(sha256(to_utf8(concat({text(self.org_id + '|')}, {of}.id)))))"
        return (
            f"LEFT JOIN (SELECT DISTINCT id_digest FROM {table_name(self.table)} WHERE lower({column('object')}) = "
            f"{text(self.object_name.lower())}) e ON e.id_digest = {digest}"
        )


_GONE = "NOT coalesce(m.isdeleted, false) AND i.id IS NULL"


def _not_erased(register: Register | None) -> str:
    return "" if register is None else " AND e.id_digest IS NULL"


def _same(one: str, other: str, columns: Sequence[str]) -> str:
    return " AND ".join(f"{column(name, of=one)} = {column(name, of=other)}" for name in columns)


def _differs(one: str, other: str) -> str:
    parts = (f"{column(name, of=one)} IS DISTINCT FROM {column(name, of=other)}" for name in _IDENTITY)
    return f"({' OR '.join(parts)})"
