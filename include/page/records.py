"""Records by name, e-mail address or Id: the current rows of the dimension, of which a few columns are read.

While they fit into the cache they are read once a snapshot; else each search streams them, a piece at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import BooleanExpression, NotEqualTo
from pyiceberg.table import Table

from include.page.answers import moment, plain
from include.page.columns import Columns
from include.page.cursor import read_cursor, write_cursor
from include.page.lake import ObjectLake
from include.page.snapshot_cache import SnapshotCache
from include.page.table_reading import One, TablePlan, is_text
from include.salesforce.ids import ID_PATTERN, to_18

_ID = re.compile(ID_PATTERN)
#: So much of a name it is sorted by, and is in a cursor.
_SORTED_BY = 100
#: Records up to which the current rows are kept, some 100 bytes each.
MOST_KEPT = 1_000_000
#: What the kept rows are called, and Ids for whose names alone they are not read.
_KEPT, _FEW = "records", 500
#: Columns of the rows that are searched, besides the tracked ones.
_OWN = ("id", "name", "_lower", "_sorted", "since", "is_deleted", "is_active")


@dataclass(frozen=True, kw_only=True)
class Search:
    """Looks for records of an object.

    :param lake: of the object.
    :param cache: what earlier requests have read.
    :param most_kept: records up to which their rows are kept.
    """

    lake: ObjectLake
    cache: SnapshotCache
    most_kept: int = MOST_KEPT

    @property
    def columns(self) -> Columns:
        """The object's columns."""
        return Columns(self.lake.object_file)

    def find(self, text: str, *, page: str | None, limit: int) -> dict[str, Any]:
        """Records in the order of their names.

        :param text: an Id of 15 or 18 characters, else a part of a name or an e-mail address; empty: all.
        :param page: cursor of an earlier answer.
        :param limit: most records.
        """
        columns, table = self.columns, self.lake.known_dimension()
        answer: dict[str, Any] = {
            "records": [],
            "next": None,
            "searched": ["id", *(["name"] if columns.name else []), *(["email"] if columns.email else [])],
            "total": 1,
        }
        after = read_cursor("records", page, name=str, id=str) if page else None
        text = text.strip()
        if _ID.fullmatch(text):
            for rows in self._read(table, to_18(text)):
                answer["records"] += _spelled(rows, columns, lambda _: "id")
            if answer["records"]:
                return answer
        wanted = pc.utf8_lower(pa.scalar(text)).as_py()  # as the names: Python folds Σ and İ otherwise
        addressed = self._addressed(wanted)
        best, total = None, 0
        for rows in self._rows(table):
            found = rows.filter(_matches(rows, wanted, addressed)) if wanted else rows
            total += found.num_rows
            if after is not None:
                found = found.filter(_comes_after(found, after["name"], after["id"]))
            if found.num_rows:
                best = _first(found if best is None else pa.concat_tables([best, found]), limit + 1)
        answer["total"] = total
        if best is None:
            return answer
        shown = best.slice(0, limit)
        answer["records"] = _spelled(
            shown, columns, lambda row: "name" if not wanted or wanted in (row["_lower"] or "") else "email"
        )
        if best.num_rows > limit:
            last = shown.slice(limit - 1, 1).to_pylist()[0]
            answer["next"] = write_cursor("records", {"name": last["_sorted"], "id": last["id"]})
        return answer

    def names_of(self, ids: pa.Array) -> list[str | None]:
        """What records are called now, in the order of their Ids.

        :param ids: of records; one may come more than once.
        """
        table, columns = self.lake.known_dimension(), self.columns
        found: pa.ChunkedArray = pa.chunked_array([pa.nulls(len(ids), pa.string())])
        if columns.name is None or columns.name not in table.schema().column_names:
            return [None] * len(ids)
        name = columns.name
        few = len(ids) <= _FEW and not self.cache.has(table, _KEPT)
        for rows in [self._named(table, name)] if few else self._rows(table):
            places = pc.index_in(ids, value_set=rows["id"].combine_chunks())
            if places.null_count < len(ids):
                found = pc.coalesce(rows["name"].take(places), found)
        names: list[str | None] = found.to_pylist()
        return names

    def _named(self, table: Table, name: str) -> pa.Table:
        """Id and name of the current rows: less to read, where nobody has searched yet."""
        identity = self.columns.identity

        def read() -> pa.Table:
            plan = TablePlan.of(table, self.cache, key=identity)
            pieces = plan.read([identity, name, "is_current"], rows=_current())
            found = [pa.table({"id": one[identity], "name": one[name]}).filter(one["is_current"]) for one in pieces]
            return pa.concat_tables(found) if found else self._empty().select(["id", "name"])

        named: pa.Table = self.cache.of(table, "names", read, size=lambda rows: rows.nbytes)
        return named

    def _rows(self, table: Table) -> Iterable[pa.Table]:
        """The current rows, all that a search looks at; kept if they are not too many."""
        kept: pa.Table | None = self.cache.of(
            table,
            _KEPT,
            lambda: self._gathered(table),
            size=lambda rows: rows.nbytes if rows is not None else 100,
        )
        return self._read(table) if kept is None else [kept]

    def _gathered(self, table: Table) -> pa.Table | None:
        gathered, count = [], 0
        for piece in self._read(table):
            gathered.append(piece)
            count += piece.num_rows
            if count > self.most_kept:
                return None
        rows = pa.concat_tables(gathered) if gathered else self._empty()
        return rows.unify_dictionaries().combine_chunks()

    def _read(self, table: Table, identity: str | None = None) -> Iterator[pa.Table]:
        """Current rows, a piece at a time, with what a search needs of each; or that of one record."""
        columns = self.columns
        named = (columns.identity, columns.name, columns.active, *columns.tracked)
        names = columns.there((*named, "effective_from", "is_current", "is_deleted"), table.schema().column_names)
        one = One(column=columns.identity, value=identity) if identity else None
        texts = [name for name in columns.tracked if name != columns.name and is_text(table, name)]
        plan = TablePlan.of(table, self.cache, key=columns.identity)
        for piece in plan.read(names, rows=_current(), encoded=texts, one=one):
            # A table that another engine made may have other partitions.
            rows = piece.filter(piece["is_current"])
            if rows.num_rows:
                yield self._prepared(rows)

    def _prepared(self, rows: pa.Table) -> pa.Table:
        columns = self.columns
        nothing = pa.nulls(rows.num_rows, pa.string())
        there = set(rows.schema.names)
        name = rows[columns.name] if columns.name in there else nothing
        lower = pc.utf8_lower(name)
        made = {
            "id": rows[columns.identity],
            "name": name,
            "_lower": lower,
            "_sorted": pc.utf8_slice_codeunits(pc.fill_null(lower, ""), 0, _SORTED_BY),
            "since": rows["effective_from"],
            "is_deleted": rows["is_deleted"],
            "is_active": rows[columns.active] if columns.active in there else pa.nulls(rows.num_rows, pa.bool_()),
        }
        for tracked in columns.tracked:
            made[f"={tracked}"] = rows[tracked] if tracked in there else nothing
        return pa.table(made)

    def _empty(self) -> pa.Table:
        return pa.table({name: pa.array([], pa.string()) for name in _OWN})

    def _addressed(self, wanted: str) -> pa.Array | None:
        """Ids of the records whose e-mail address holds a text; None where the object has no addresses."""
        email, mirror = self.columns.email, self.lake.mirror()
        if not wanted or email is None or mirror is None or email not in mirror.schema().column_names:
            return None

        def read() -> pa.Table:
            rows = mirror.scan(selected_fields=("id", email)).to_arrow()
            return pa.table({"id": rows["id"], "email": pc.utf8_lower(rows[email])}).filter(rows[email].is_valid())

        addresses: pa.Table = self.cache.of(mirror, "addresses", read, size=lambda rows: rows.nbytes)
        return addresses["id"].filter(pc.match_substring(addresses["email"], wanted)).combine_chunks()


def _current() -> BooleanExpression:
    """The filter of current rows. Not `is_current = true`: DuckDB gives a manifest no bounds of a flag, and pyiceberg
    takes it for one without such rows."""
    return NotEqualTo("is_current", False)  # type: ignore[call-arg, misc]


def _matches(rows: pa.Table, wanted: str, addressed: pa.Array | None) -> pa.ChunkedArray:
    named = pc.fill_null(pc.match_substring(rows["_lower"], wanted), False)
    if addressed is None or len(addressed) == 0:
        return named
    return pc.or_(named, pc.is_in(rows["id"], value_set=addressed))


def _comes_after(rows: pa.Table, name: str, identity: str) -> pa.ChunkedArray:
    same = pc.and_(pc.equal(rows["_sorted"], name), pc.greater(rows["id"], identity))
    return pc.or_(pc.greater(rows["_sorted"], name), same)


def _first(rows: pa.Table, count: int) -> pa.Table:
    keys = [("_sorted", "ascending"), ("id", "ascending")]
    narrow = rows.select(["_sorted", "id"])
    if rows.num_rows > count:
        chosen = pc.select_k_unstable(narrow, count, keys)
    else:
        chosen = pc.sort_indices(narrow, sort_keys=keys)
    return rows.take(chosen)


def _spelled(rows: pa.Table, columns: Columns, matched: Any) -> list[dict[str, Any]]:
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "values": {name: plain(row[f"={name}"]) for name in columns.tracked},
            "is_active": row["is_active"],
            "is_deleted": row["is_deleted"],
            "since": moment(row["since"]),
            "matched": matched(row),
        }
        for row in rows.to_pylist()
    ]
