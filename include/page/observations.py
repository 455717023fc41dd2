"""The observations of one record, oldest first, some at a time: what was really read from Salesforce, and when.

Every run appends a file to the changes log, so a record's observations are spread over many. Files are taken in the
order of their windows, and no more of them for one page than a request may take: a page can be short, and still not be
the last one. Its cursor holds what is needed to go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyiceberg.conversions import from_bytes
from pyiceberg.table import Table

from include.config.object_file import ObjectFile
from include.lake.data_files import KeyedFile
from include.page.answers import BadRequest, micros, moment, plain
from include.page.cursor import not_a_cursor, read_cursor, write_cursor
from include.page.lake import ObjectLake
from include.page.links import Links
from include.page.observation_fold import DIGEST, TIES, Fold, Placed, in_order, order_key
from include.page.snapshot_cache import SnapshotCache
from include.page.table_reading import FileReader, One, TablePlan

#: Files that are opened for a page.
MOST_FILES = 60
#: Observations of a page.
PAGE = 50
_BATCH = ("_extraction_run_id", "_extracted_at")
_WINDOW = "_window_end"
#: What a cursor has of a row: its window, cursor and extraction in microseconds since 1970, its hash, its change.
_PLACE = (int, int, int, str, str)


@dataclass(frozen=True, kw_only=True)
class Observations:
    """One page of them.

    :param placed: oldest first; those that the dimension has not consumed yet are in none of its versions.
    :param next: cursor of the next page; None: this is the last.
    :param pending: how many of this page the dimension has not consumed.
    """

    placed: tuple[tuple[Mapping[str, Any], Placed | None], ...]
    next: str | None
    pending: int


@dataclass(frozen=True, kw_only=True)
class ObservationReader:
    """Reads the observations of a record.

    :param lake: of the object.
    :param cache: what earlier requests have read.
    :param most_files: files that are opened for a page.
    :param page_size: most observations of a page.
    """

    lake: ObjectLake
    cache: SnapshotCache
    most_files: int = MOST_FILES
    page_size: int = PAGE

    def read(self, identity: str, page: str | None = None) -> Observations:
        """One page.

        :param identity: 18-character Id.
        :param page: cursor of an earlier page; None: the first.
        :raises BadRequest: if a run has published since the earlier page: what it placed may be elsewhere now.
        """
        # First of all: what a run publishes meanwhile is then pending, not in a version that is not there.
        published, consumed = self._consumed()
        table = self.lake.changes()
        if table is None or table.current_snapshot() is None:
            return Observations(placed=(), next=None, pending=0)
        object_file = self.lake.object_file
        after, fold = self._go_on(page, published)
        one = One(column="id", value=identity)
        files = self._files(table, one, after)
        there = set(table.schema().column_names)
        source = [name for name in object_file.columns if name in there]
        wanted = list(dict.fromkeys((*source, object_file.cursor_column, _WINDOW, *_BATCH, *TIES)))
        # Read as dictionaries, what many rows share is decoded once.
        shared = [name for name in ("_extraction_run_id", "_change", "_observed_columns") if name in there]
        reader = FileReader(table, [name for name in wanted if name in there], encoded=shared, one=one)
        rows: list[Mapping[str, Any]] = []
        opened, settled, rest = 0, 0, files
        while rest and settled <= self.page_size and opened < self.most_files:
            file, rest = rest[0], rest[1:]
            opened += 1
            found = [row for piece in reader.pieces(file[1].task) for row in piece.to_pylist()]
            rows += [row for row in found if after is None or self._place(row) > after]
            # What begins no later than the next file does may still get company.
            settled = sum(not rest or micros(row[_WINDOW]) < rest[0][0] for row in rows)
        ordered = in_order((row for row in rows if not rest or micros(row[_WINDOW]) < rest[0][0]), self._cursor)
        shown = ordered[: self.page_size]
        placed = tuple((row, fold.take(row) if _batch(row) in consumed else None) for row in shown)
        following = None
        if len(ordered) > len(shown):
            following = self._cursor_after(self._place(shown[-1]), fold, published)
        elif rest:
            following = self._cursor_after([[0, rest[0][0]]], fold, published)
        return Observations(placed=placed, next=following, pending=sum(where is None for _, where in placed))

    @property
    def _cursor(self) -> str:
        return self.lake.object_file.cursor_column

    def _files(self, table: Table, one: One, after: list[Any] | None) -> list[tuple[int, KeyedFile]]:
        """Files that may hold observations after a place, with when their windows begin, the earliest first."""
        field = table.schema().find_field(_WINDOW)
        found = []
        for file in TablePlan.of(table, self.cache, key="id").holding(one=one):
            lower, upper = (
                from_bytes(field.field_type, said)  # type: ignore[arg-type]
                if (said := (bounds or {}).get(field.field_id)) is not None
                else None
                for bounds in (file.task.file.lower_bounds, file.task.file.upper_bounds)
            )
            if after is None or upper is None or [[0, upper]] >= after[:1]:
                found.append((int(lower) if lower is not None else 0, file))
        return sorted(found, key=lambda one: (one[0], one[1].path))

    def _consumed(self) -> tuple[int | None, frozenset[tuple[str, int]]]:
        """The batches that the dimension consists of, and the snapshot of the ledger that says so."""
        table = self.lake.open(self.lake.tables.ledger)
        snapshot = table.current_snapshot() if table is not None else None
        if table is None or snapshot is None:
            return None, frozenset()
        batches = self.cache.of(
            table,
            "batches",
            lambda: frozenset(_batch(row) for row in table.scan(selected_fields=_BATCH).to_arrow().to_pylist()),
            size=lambda batches: 200 * len(batches),
        )
        return snapshot.snapshot_id, batches

    def _place(self, row: Mapping[str, Any]) -> list[Any]:
        # All rows of a batch observed the same columns, and their names are long: they are in no cursor.
        return [list(part) for part in order_key(row, self._cursor)[: len(_PLACE)]]

    def _cursor_after(self, place: list[Any], fold: Fold, published: int | None) -> str:
        known = [fold.known.get(column) for column in fold.tracked]
        return write_cursor(
            "observations",
            {"of": published, "after": place, "version": fold.version, "deleted": fold.deleted, "known": known},
        )

    def _go_on(self, page: str | None, published: int | None) -> tuple[list[Any] | None, Fold]:
        tracked = [name.lower() for name in self.lake.object_file.tracked]
        if page is None:
            return None, Fold(tracked)
        said = read_cursor(
            "observations", page, of=(int, type(None)), after=list, version=int, deleted=bool, known=list
        )
        after, known = said["after"], said["known"]
        fits = len(after) in {1, len(_PLACE)} and all(map(_is_part, after, _PLACE))
        if not fits or said["version"] < -1 or not all(map(_is_digest, known)):
            raise not_a_cursor(page)
        if said["of"] != published or len(known) != len(tracked):
            raise BadRequest(
                "A run has published since these observations were read: they may be in other versions now.",
                remedy="Open the record again.",
            )
        seen = {column: code for column, code in zip(tracked, known, strict=True) if code is not None}
        return after, Fold(tracked, version=said["version"], deleted=said["deleted"], known=seen)


def _is_part(part: Any, kind: type) -> bool:
    """Whether this can be a part of a row's place: a value, or that there is none."""
    if not isinstance(part, list) or [type(one) for one in part[:1]] != [int]:
        return False
    return part == [1, 0] or (len(part) == 2 and part[0] == 0 and type(part[1]) is kind)


def _is_digest(code: Any) -> bool:
    return code is None or (isinstance(code, str) and DIGEST.fullmatch(code) is not None)


def spelled(
    observations: Observations, versions: Sequence[str], object_file: ObjectFile, links: Links
) -> list[dict[str, Any]]:
    """Observations as the page has them.

    :param observations: a page of them.
    :param versions: `_scd_id` of the record's versions, oldest first.
    :param object_file: the object.
    :param links: where a person clicks.
    """

    def version(placed: Placed | None) -> str | None:
        return versions[placed.version] if placed is not None and placed.version < len(versions) else None

    return [
        {
            "window_end": moment(row[_WINDOW]),
            "extracted_at": moment(row["_extracted_at"]),
            "run_id": row["_extraction_run_id"],
            "run_url": _link(links, object_file.dag_id, row["_extraction_run_id"]),
            "change": row["_change"],
            "cursor": moment(row[object_file.cursor_column]),
            "values": {name: plain(row.get(name)) for name in object_file.columns},
            "opened_version": version(placed) if placed is not None and placed.opens else None,
            "version": version(placed),
        }
        for row, placed in observations.placed
    ]


def _link(links: Links, dag_id: str, run_id: str) -> str | None:
    """What was replayed from the quarantine is in a batch of its own, which has no run of that name."""
    return None if run_id.startswith("replayed ") else links.run(dag_id, run_id)


def _batch(row: Mapping[str, Any]) -> tuple[str, int]:
    return row["_extraction_run_id"], micros(row["_extracted_at"])
