"""Merging rows into a table clustered by id: rewrite the files that hold one of them, and commit once.

A file is rewritten only if a row in it changes. New rows join a rewritten file whose Ids surround theirs, else the
small file at the end, which so grows until it is no longer small: files stay few however many runs there are. What is
held in memory, beside the rows, is a piece of the file that is read and a row group of the one that is written, however
large the table is, or a file that another engine has made.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from include.lake.data_files import FILE_BYTES, KeyedFile, SortedIds, cut, discard, keyed_files, write_files
from include.lake.file_reading import read_pieces
from include.lake.file_writing import DataFileWriter
from include.lake.one_commit import commit_once
from include.lake.placement import Placement

#: A file below this share of `FILE_BYTES` still takes in new rows.
_SMALL = 0.25


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    :param inserted: rows whose Id was new.
    :param updated: rows that replaced one with their Id.
    :param snapshot_id: the snapshot it made; None if there was nothing to write.
    """

    inserted: int
    updated: int
    snapshot_id: int | None


def merge(
    table: Table,
    rows: pa.Table,
    placement: Placement,
    *,
    properties: Mapping[str, str] | None = None,
    unmoved: Iterable[str] = (),
    snapshot_properties: Mapping[str, str] | None = None,
    last_look: Callable[[], None] | None = None,
    file_bytes: int = FILE_BYTES,
) -> Merged:
    """Put rows in the place of those with the same id, or beside them, in one commit.

    :param table: as it was when the rows were placed.
    :param rows: one row an Id, sorted by id, in the table's Arrow schema.
    :param placement: of exactly these Ids.
    :param properties: table properties to set in the same commit.
    :param unmoved: names of properties that must be as they were at planning.
    :param snapshot_properties: entries of the snapshot's summary.
    :param last_look: called right before the commit; it may raise to stop it.
    :param file_bytes: bytes of Arrow at which a file is split.
    :raises CommitFailedException: when someone else committed since the table was loaded; place and merge again.
    """
    target_of = _targets(table, rows, placement, file_bytes)
    added: list[DataFile] = []
    writer = DataFileWriter(table)
    try:
        for number, file in target_of.files.items():
            here = target_of.numbers == number
            updates = _chosen(rows, here & placement.known)
            inserts = _chosen(rows, here & ~placement.known)
            pieces = _rewritten(table, file, updates, inserts)
            for part in _parts(pieces, file.rows + inserts.num_rows, file_bytes):
                added.extend(writer.write(part, like=file.task.file))
        added.extend(write_files(table, _chosen(rows, target_of.numbers < 0), file_bytes=file_bytes))
    except BaseException:
        discard(table, added)
        raise
    snapshot_id = commit_once(
        table,
        added=added,
        removed=[file.task.file for file in target_of.files.values()],
        properties=properties,
        unmoved=unmoved,
        snapshot_properties=snapshot_properties,
        last_look=last_look,
    )
    updated = int(placement.known.sum())
    return Merged(inserted=rows.num_rows - updated, updated=updated, snapshot_id=snapshot_id)


@dataclass(frozen=True)
class _Targets:
    """Which file each row goes to: its position in `files`, or -1 for a new file."""

    numbers: npt.NDArray[np.int32]
    files: dict[int, KeyedFile]


def _targets(table: Table, rows: pa.Table, placement: Placement, file_bytes: int) -> _Targets:
    numbers = placement.file_of.copy()
    files = {int(number): placement.files[number] for number in np.unique(numbers[numbers >= 0])}
    # The rows of a partition cannot join a file of another one, so in a partitioned table new rows get new files.
    if (numbers < 0).any() and table.spec().is_unpartitioned():
        for number, file in files.items():
            within = placement.ids.within(file.lower, file.upper)
            surrounded = numbers[within]
            surrounded[surrounded < 0] = number
        if (numbers < 0).any():
            tail = _tail(table, rows, file_bytes)
            if tail is not None:
                same = [number for number, file in files.items() if file.path == tail.path]
                number = same[0] if same else len(placement.files)
                files[number] = tail
                numbers[numbers < 0] = number
    return _Targets(numbers=numbers, files=files)


def _chosen(rows: pa.Table, flags: npt.NDArray[np.bool_]) -> pa.Table:
    """Rows with a flag; those that follow each other are not copied."""
    places = np.flatnonzero(flags)
    if not len(places) or places[-1] - places[0] + 1 == len(places):
        return rows.slice(places[0] if len(places) else 0, len(places))
    return rows.filter(pa.array(flags))


def _tail(table: Table, rows: pa.Table, file_bytes: int) -> KeyedFile | None:
    """The small file with the greatest Ids, if there is a small file."""
    row_bytes = rows.nbytes / rows.num_rows
    small = [file for file in keyed_files(table) if file.rows * row_bytes < file_bytes * _SMALL]
    return max(small, key=lambda file: file.upper or "", default=None)


def _rewritten(table: Table, file: KeyedFile, updates: pa.Table, inserts: pa.Table) -> Iterator[pa.Table]:
    """A file's rows with some of them replaced and others put in at their place, a piece at a time."""
    replacing = SortedIds(updates.column("id").combine_chunks())
    waiting = SortedIds(inserts.column("id").combine_chunks())
    taken = 0
    for piece in read_pieces(table, file.task):
        ids = piece.column("id")
        until = max(taken, waiting.within(None, ids[-1].as_py()).stop)
        yield _patched(piece, updates, replacing.positions_of(ids), inserts.slice(taken, until - taken))
        taken = until
    if taken < inserts.num_rows:
        yield inserts.slice(taken)


def _patched(piece: pa.Table, updates: pa.Table, replaced: pa.ChunkedArray, inserts: pa.Table) -> pa.Table:
    """One piece of a file; untouched ones pass as they are."""
    if replaced.null_count < len(replaced):
        bounds = pc.min_max(replaced)
        first, last = bounds["min"].as_py(), bounds["max"].as_py()
        order = pc.coalesce(
            pc.add(replaced, pa.scalar(piece.num_rows - first, pa.int32())),
            pa.array(np.arange(piece.num_rows, dtype=np.int32)),
        )
        piece = pa.concat_tables([piece, updates.slice(first, last - first + 1)]).take(order)
    if inserts.num_rows:
        piece = pa.concat_tables([piece, inserts]).sort_by("id")
    return piece


def _parts(pieces: Iterator[pa.Table], rows: int, file_bytes: int) -> Iterator[Iterator[pa.Table]]:
    """Pieces in parts of about the same size, each for a file of its own.

    :param pieces: none is empty.
    :param rows: how many there are in all of them, at most.
    :param file_bytes: most bytes of Arrow in a part, as far as the first piece tells.
    """
    first = next(pieces, None)
    if first is not None:
        parts = max(1, math.ceil(rows * first.nbytes / first.num_rows / file_bytes))
        yield from cut(itertools.chain([first], pieces), math.ceil(rows / parts))
