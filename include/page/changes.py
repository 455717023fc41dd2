"""Who moved from which value to which, how many records had each value over time, and each change by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.page.answers import BadRequest, at_micros, micros, moment
from include.page.cursor import read_cursor, write_cursor
from include.page.lake import ObjectLake
from include.page.records import Search
from include.page.snapshot_cache import SnapshotCache
from include.page.version_index import DELETED, Field, VersionIndex, as_text, version_index

#: What is shown where nobody asks for a period: as long as this, up to the newest version.
USUAL = timedelta(days=30)
_USUAL_MICROS = USUAL // timedelta(microseconds=1)
#: Moments at which records are counted.
MOMENTS = 60
#: Values of which records are counted, the most frequent ones; and flows that are told, the greatest ones.
MOST_VALUES = 40
MOST_FLOWS = 1_600
#: Cells of a table of flags in which records are marked; what is larger is sorted.
_MOST_CELLS = 64_000_000
#: Rows of CSV that are made at a time.
_CSV_ROWS = 5_000
_SECOND = 1_000_000
CSV_COLUMNS = ("at", "id", "name", "field", "from", "to")

_Numbers = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A period, and what is looked at in it.

    :param since: first moment; None: `USUAL` before `until`.
    :param until: first moment that is not in it; None: right after the newest version.
    :param field: a tracked field, or is_deleted; None: the first tracked one.
    :param before: only changes from this value; empty: from null; None: from any.
    :param after: only changes to this value; empty: to null; None: to any.
    """

    since: datetime | None = None
    until: datetime | None = None
    field: str | None = None
    before: str | None = None
    after: str | None = None


class Changes:
    """The changes of a field in a period.

    :param lake: of the object.
    :param cache: what earlier requests have read.
    :param asked: what is wanted.
    :raises BadRequest: for a field that is not tracked, and for a period that ends before it begins.
    :raises NotThere: until the dimension has been published.
    """

    def __init__(self, lake: ObjectLake, cache: SnapshotCache, asked: Asked) -> None:
        self.index: VersionIndex = version_index(lake, cache)
        self.search = Search(lake=lake, cache=cache)
        self.tracked = [name for name in self.index.fields if name != DELETED]
        self.field = asked.field or self.tracked[0]
        if self.field not in self.index.fields:
            raise BadRequest(
                f"field is {self.field!r:.80}: allowed are {', '.join(self.index.fields)}.",
                remedy="Choose one of the tracked fields.",
            )
        newest = self.index.newest
        until = micros(asked.until) if asked.until else ((newest or 0) // _SECOND + 1) * _SECOND
        since = micros(asked.since) if asked.since else until - _USUAL_MICROS
        if asked.until is None:
            until = max(until, since + _SECOND)  # nothing has changed since then: that is an answer, not an error
        if since >= until:
            raise BadRequest(
                f"since is {moment(at_micros(since))} and until is {moment(at_micros(until))}: since must come first.",
                remedy="Choose a period that begins before it ends.",
            )
        self.since, self.until = since, until
        self._opened_within = np.flatnonzero((self.index.opened >= since) & (self.index.opened < until))
        self._rows = self._changed(asked)

    @property
    def values(self) -> Field:
        """Those of the field that is looked at."""
        return self.index.fields[self.field]

    @property
    def total(self) -> int:
        """How many changes there are."""
        return len(self._rows)

    def summary(self) -> dict[str, Any]:
        """The period, the flows, and the counts over time."""
        following = self._opened_within[~self.index.first[self._opened_within]]
        gone = self.index.deleted
        return {
            "since": moment(at_micros(self.since)),
            "until": moment(at_micros(self.until)),
            "field": self.field,
            "fields": self.tracked,
            "flows": self._flows(following),
            "deleted": int((gone[following] & ~gone[following - 1]).sum()),
            "returned": int((~gone[following] & gone[following - 1]).sum()),
            "first_seen": int(len(self._opened_within) - len(following)),
            "over_time": self._over_time(),
        }

    def page(self, page: str | None, *, limit: int) -> dict[str, Any]:
        """Changes, the newest first.

        :param page: cursor of an earlier answer.
        :param limit: most changes.
        """
        rows = self._rows
        after = read_cursor("changes", page, at=int, id=str) if page else None
        if after is not None:
            opened = self.index.opened[rows]
            same = rows[opened == after["at"]]
            later = same[pc.greater(self._ids(same), after["id"]).to_numpy(zero_copy_only=False)]
            rows = np.concatenate([rows[opened < after["at"]], later])
        rows = self._newest(rows, limit + 1)
        shown = rows[:limit]
        listed = self._spelled(shown)
        following = None
        if len(rows) > limit:
            following = write_cursor("changes", {"at": int(self.index.opened[shown[-1]]), "id": listed[-1]["id"]})
        return {"changes": listed, "next": following, "total": self.total}

    def rows_of_csv(self) -> Iterator[list[tuple[Any, ...]]]:
        """All changes, the newest first, some at a time, in the order of `CSV_COLUMNS`."""
        rows = self._rows[np.argsort(-self.index.opened[self._rows], kind="stable")]
        for start in range(0, len(rows), _CSV_ROWS):
            listed = self._spelled(rows[start : start + _CSV_ROWS])
            yield [
                (one["at"], one["id"], one["name"], one["field"], as_text(one["from"]), as_text(one["to"]))
                for one in listed
            ]

    def _changed(self, asked: Asked) -> _Numbers:
        """The versions whose value is another than in the one before."""
        rows = self._opened_within[~self.index.first[self._opened_within]]
        codes = self.values.codes
        rows = rows[codes[rows] != codes[rows - 1]]
        for text, shift in ((asked.before, 1), (asked.after, 0)):
            if text is not None:
                code = self.values.code_of(text)
                rows = rows[codes[rows - shift] == code] if code is not None else rows[:0]
        return rows

    def _flows(self, following: _Numbers) -> list[dict[str, Any]]:
        codes = self.values.codes
        rows = following[codes[following] != codes[following - 1]]
        width = len(self.values.known) + 1
        pairs = (codes[rows - 1].astype(np.int64) + 1) * width + codes[rows] + 1
        kinds, kind = _numbered(pairs, width * width)
        changes = np.bincount(kind, minlength=len(kinds))
        people = _distinct(kind, len(kinds), self.index.record[rows], len(self.index.ids))
        most = np.argsort(-people, kind="stable")[:MOST_FLOWS]
        flows = [
            {
                "from": self.values.value(pair // width - 1),
                "to": self.values.value(pair % width - 1),
                "records": records,
                "changes": count,
            }
            for pair, records, count in zip(
                kinds[most].tolist(), people[most].tolist(), changes[most].tolist(), strict=True
            )
        ]
        flows.sort(key=lambda flow: (-flow["records"], as_text(flow["from"]), as_text(flow["to"])))
        return flows

    def _over_time(self) -> list[dict[str, Any]]:
        """Records that are there, by value, at equally spaced moments from the first of the period on."""
        step = max(1, (self.until - 1 - self.since) // (MOMENTS - 1))
        count = min(MOMENTS, (self.until - 1 - self.since) // step + 1)
        width, steps = len(self.values.known) + 1, count + 1
        # A version is counted from the first moment that is not before its beginning, to the last before its end.
        begins = _step_of(self.index.opened, self.since, step, count)
        ends = _step_of(self.index.closed, self.since, step, count)
        row_of_value = (self.values.codes + np.int64(1)) * steps
        counted = _changes_of_counts(row_of_value, begins, ends, width * steps)
        gone = np.flatnonzero(self.index.deleted)
        counted -= _changes_of_counts(row_of_value[gone], begins[gone], ends[gone], width * steps)
        counts = counted.reshape(width, steps).cumsum(axis=1)[:, :-1]
        peak = counts.max(axis=1)
        most = np.argsort(-peak, kind="stable")[:MOST_VALUES]
        most = most[peak[most] > 0].tolist()
        return [
            {
                "at": moment(at_micros(self.since + number * step)),
                "value": self.values.value(code - 1),
                "records": int(counts[code, number]),
            }
            for number in range(count)
            for code in most
        ]

    def _newest(self, rows: _Numbers, count: int) -> _Numbers:
        """The newest of some versions; those of one moment in the order of their Ids."""
        opened = self.index.opened[rows]
        if len(rows) > count:
            least = np.partition(opened, len(rows) - count)[len(rows) - count]
            rows = rows[opened >= least]
        order = pc.sort_indices(
            pa.table({"at": self.index.opened[rows], "id": self._ids(rows)}),
            sort_keys=[("at", "descending"), ("id", "ascending")],
        )
        return rows[order.to_numpy()][:count]

    def _ids(self, rows: _Numbers) -> pa.Array:
        return self.index.ids.take(pa.array(self.index.record[rows]))

    def _spelled(self, rows: _Numbers) -> list[dict[str, Any]]:
        ids = self._ids(rows)
        codes, opened = self.values.codes, self.index.opened[rows].tolist()
        named = self.search.names_of(ids)
        before, after = codes[rows - 1].tolist(), codes[rows].tolist()
        return [
            {
                "id": identity,
                "name": name,
                "at": moment(at_micros(at)),
                "field": self.field,
                "from": self.values.value(old),
                "to": self.values.value(new),
            }
            for identity, name, at, old, new in zip(ids.to_pylist(), named, opened, before, after, strict=True)
        ]


def _step_of(at: _Numbers, since: int, step: int, count: int) -> _Numbers:
    """The first of `count` moments, `step` apart from `since` on, that is not before; `count`: it is after all."""
    found: _Numbers = np.clip(at, since, since + count * step)
    np.subtract(since, found, out=found)
    found //= step
    return np.negative(found, out=found)


def _changes_of_counts(row_of_value: _Numbers, begins: _Numbers, ends: _Numbers, cells: int) -> _Numbers:
    """By how much the count of each value changes at each moment: a version adds one, and takes it away at its end."""
    counted: _Numbers = np.bincount(row_of_value + begins, minlength=cells)
    counted -= np.bincount(row_of_value + ends, minlength=cells)
    return counted


def _numbered(values: _Numbers, limit: int) -> tuple[_Numbers, _Numbers]:
    """The values that there are, and of each place the position of its value among them.

    :param limit: no value is as great.
    """
    if limit > len(values) + 1_000_000:
        kinds, kind = np.unique(values, return_inverse=True)
        return kinds, kind
    kinds = np.flatnonzero(np.bincount(values, minlength=limit))
    places = np.zeros(limit, np.int64)
    places[kinds] = np.arange(len(kinds))
    return kinds, places[values]


def _distinct(kind: _Numbers, kinds: int, record: _Numbers, records: int) -> _Numbers:
    """Of each kind, how many records there are: one that comes twice is one."""
    if kinds * records > _MOST_CELLS:
        once = np.unique(kind * records + record)
        return np.bincount(once // records, minlength=kinds)
    seen = np.zeros((kinds, records), np.bool_)
    seen[kind, record] = True
    return seen.sum(axis=1)
