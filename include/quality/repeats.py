"""Ids and unique values that occur more than once in a run.

Paging is not a snapshot: a record that changes while its object is read may arrive twice. The newest state wins and the
others are superseded, which is no error. Two different states with the same cursor cannot be put in order: one is kept,
the other goes to quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.quality.rules import any_of, identity_failures, positions, record_json
from include.salesforce.id_bag import IdBag
from include.staging.manifest import ReadPlan

_ID = "id"

#: Reads the staged batches again from the beginning: only these columns, or all of them.
Reader = Callable[[list[str] | None], Iterator[pa.RecordBatch]]


@dataclass(kw_only=True)
class Contested:
    """What became of the Ids that were read more than once.

    :param ids: these Ids.
    :param winners: their newest states, one an Id, by Id.
    :param losers: states that could not be put in order against a winner.
    :param superseded: older states and repeats, counted.
    """

    ids: pa.Array
    winners: pa.RecordBatch
    losers: pa.RecordBatch
    superseded: int = 0

    def rows_of(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        """Rows of a batch whose Id is one of these.

        :param batch: staged rows.
        """
        return pc.is_in(batch.column(_ID), value_set=self.ids)


@dataclass
class _Newest:
    cursor: Any
    states: dict[str, dict[str, Any]] = field(default_factory=dict)


def resolve_repeated_ids(read: Reader, plan: ReadPlan, schema: pa.Schema) -> Contested:
    """Find the Ids that occur more than once and decide which state of each is kept.

    Memory: about 18 bytes a record for the Ids, and the newest states of those that repeat.

    :param read: the staged batches.
    :param plan: what was read.
    :param schema: of the staged batches.
    """
    bag = IdBag()
    for batch in read([_ID]):
        bag.add(batch.column(_ID))
    repeated = bag.repeated()
    newest: dict[str, _Newest] = {}
    rows = 0
    if len(repeated):
        for batch in read(None):
            orderly = pc.invert(any_of(identity_failures(batch, plan), batch.num_rows))
            chosen = pc.and_(orderly, pc.is_in(batch.column(_ID), value_set=repeated))
            for row in batch.filter(chosen).to_pylist():
                rows += 1
                _note(newest, row, plan.cursor.lower(), schema.names)
    winners, losers = [], []
    for identity in sorted(newest):
        states = newest[identity].states
        # Any rule would do, as long as a re-run decides alike.
        *others, kept = sorted(states)
        winners.append(states[kept])
        losers += [states[other] for other in others]
    return Contested(
        ids=pa.array(sorted(newest), pa.string()),
        winners=pa.RecordBatch.from_pylist(winners, schema=schema),
        losers=pa.RecordBatch.from_pylist(losers, schema=schema),
        superseded=rows - len(winners) - len(losers),
    )


def _note(newest: dict[str, _Newest], row: dict[str, Any], cursor: str, columns: list[str]) -> None:
    known = newest.get(row[_ID])
    if known is None or row[cursor] > known.cursor:
        known = newest[row[_ID]] = _Newest(row[cursor])
    if row[cursor] == known.cursor:
        known.states.setdefault(record_json(row, columns), row)


def shared_values(batches: Callable[[], Iterable[pa.RecordBatch]], column: str) -> Mapping[Any, str]:
    """Values that more than one Id has, and the first of these Ids.

    :param batches: one row an Id, with the columns id and `column`; called twice.
    :param column: a column that should be unique. Null and the empty string are shared by nobody.
    """
    # Values may be of any type and length: this takes some 200 bytes a record.
    repeated = _repeated_values([batch.column(column).drop_null() for batch in batches()])
    first: dict[Any, str] = {}
    if len(repeated):
        for batch in batches():
            chosen = positions(pc.fill_null(pc.is_in(batch.column(column), value_set=repeated), False))
            for row in chosen:
                value, identity = batch.column(column)[row].as_py(), batch.column(_ID)[row].as_py()
                first[value] = min(first.get(value, identity), identity)
    first.pop("", None)
    return first


def _repeated_values(arrays: list[pa.Array]) -> pa.Array:
    counted = pc.value_counts(pa.chunked_array(arrays))
    return counted.field("values").filter(pc.greater(counted.field("counts"), 1))
