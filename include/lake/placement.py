"""Where in a table some Ids are: which data file holds each of them, found by reading key columns only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from include.lake.data_files import KeyedFile, SortedIds, id_range, keyed_files
from include.lake.file_reading import read_pieces


@dataclass(frozen=True)
class Probed:
    """The key columns of a piece of a file, matched with the Ids that are looked for.

    :param number: position of the file in `Placement.files`.
    :param rows: the piece's key columns.
    :param matches: for each row the position of its Id among those looked for, null if it is not among them.
    """

    number: int
    rows: pa.Table
    matches: pa.ChunkedArray


@dataclass
class Placement:
    """Which file holds which Id, and what the key columns say about it.

    :param ids: the Ids looked for, sorted.
    :param files: the files that may hold one.
    :param file_of: for each Id the position of its file in `files`, -1 if no file holds it.
    """

    ids: SortedIds
    files: list[KeyedFile]
    file_of: npt.NDArray[np.int32]
    _found: list[pa.Table] = field(default_factory=list)
    _positions: list[npt.NDArray[np.int64]] = field(default_factory=list)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Which of the Ids are in the table."""
        return self.file_of >= 0

    def note(self, probed: Probed) -> None:
        """Remember what a file said.

        :param probed: from `probe`.
        """
        hit = pc.is_valid(probed.matches)
        positions = _numpy(probed.matches.filter(hit), np.int64)
        if len(positions):
            self.file_of[positions] = probed.number
            self._positions.append(positions)
            self._found.append(probed.rows.filter(hit))

    def only(self, wanted: npt.NDArray[np.bool_]) -> Placement:
        """The same of some of the Ids; what the key columns said is left behind.

        :param wanted: a flag for each Id.
        """
        ids = SortedIds(self.ids.ids.filter(pa.array(wanted)))
        return Placement(ids=ids, files=self.files, file_of=self.file_of[wanted])

    def values(self, column: str) -> pa.ChunkedArray:
        """What the table holds for each Id, null where it does not have it.

        :param column: one of the key columns that were read.
        """
        if not self._found:
            return pa.chunked_array([pa.nulls(len(self.ids))])
        row_of = np.full(len(self.ids), -1, np.int64)
        positions = np.concatenate(self._positions)
        row_of[positions] = np.arange(len(positions))
        found = pa.chunked_array([chunk for table in self._found for chunk in table.column(column).chunks])
        return found.take(pa.array(row_of, mask=row_of < 0))


def empty_placement(table: Table, ids: SortedIds, *, everywhere: bool = False) -> Placement:
    """A placement that knows which files to probe, and nothing else yet.

    :param table: the loaded table.
    :param ids: the Ids looked for.
    :param everywhere: probe every file, because Ids that are *not* looked for matter as well.
    """
    files: list[KeyedFile] = []
    if everywhere:
        files = keyed_files(table)
    elif len(ids):
        files = [file for file in keyed_files(table, id_range(ids)) if _may_hold(file, ids)]
    return Placement(ids=ids, files=files, file_of=np.full(len(ids), -1, np.int32))


def probe(table: Table, placement: Placement, columns: Sequence[str]) -> Iterator[Probed]:
    """Read the key columns of the files, a piece at a time, and match them.

    :param table: the loaded table.
    :param placement: says which files and which Ids.
    :param columns: which columns; `id` is among them.
    """
    for number, file in enumerate(placement.files):
        for rows in read_pieces(table, file.task, columns):
            yield Probed(number, rows, placement.ids.positions_of(rows.column("id")))


def locate(table: Table, ids: SortedIds, columns: Sequence[str]) -> Placement:
    """Find some Ids.

    :param table: the loaded table.
    :param ids: the Ids looked for.
    :param columns: key columns to read; `id` is among them.
    """
    placement = empty_placement(table, ids)
    for probed in probe(table, placement, columns):
        placement.note(probed)
    return placement


def _may_hold(file: KeyedFile, ids: SortedIds) -> bool:
    within = ids.within(file.lower, file.upper)
    return within.start < within.stop


def _numpy(values: pa.ChunkedArray, kind: type[np.int64]) -> npt.NDArray[np.int64]:
    return values.combine_chunks().to_numpy(zero_copy_only=False).astype(kind) if len(values) else np.empty(0, kind)
