"""Compaction: many small files become few large ones, in one commit, and no row changes.

Files are rewritten partition by partition, and in a table that is sorted by id in the order of its Ids, so that a file
holds Ids near each other, as a merge expects. Rows that another engine has deleted by position are left out for good.
One new file is held in memory at a time, and the Ids of a partition that is sorted.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import And, BooleanExpression, GreaterThanOrEqual, LessThan
from pyiceberg.manifest import DataFile, ManifestContent
from pyiceberg.table import FileScanTask, Table
from pyiceberg.transforms import IdentityTransform

from include.lake.data_changes import SAME_ROWS_AS, last_change
from include.lake.data_files import KeyedFile, discard, read_file, write_files
from include.lake.one_commit import MANIFEST_BYTES, MANIFESTS_BEFORE_MERGE, commit_once

log = logging.getLogger(__name__)

#: A file below this share of the size aimed at is small. Two halves make one, so a second compaction finds nothing.
_SMALL = 0.5
#: Manifests from which they are merged though no file is rewritten.
_MANY_MANIFESTS = 2 * MANIFESTS_BEFORE_MERGE


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    :param files: files that were rewritten.
    :param into: files that hold their rows now.
    :param snapshot_id: the snapshot it made; None if there was nothing to do.
    """

    files: int = 0
    into: int = 0
    snapshot_id: int | None = None


@dataclass(frozen=True)
class CompactionPlan:
    """What would be rewritten.

    :param groups: files of one partition each, with what is deleted in them.
    :param target_rows: rows of a new file.
    :param manifests_only: no file needs it, but manifests are many, or delete files speak of nothing that is there.
    """

    groups: tuple[tuple[FileScanTask, ...], ...] = ()
    target_rows: int = 0
    manifests_only: bool = False

    @property
    def files(self) -> int:
        """How many files would be rewritten."""
        return sum(len(group) for group in self.groups)


def plan_compaction(table: Table, *, from_files: int, file_bytes: int) -> CompactionPlan:
    """Which files are worth rewriting: small ones that have company, and those in which rows are deleted by position.

    :param table: the loaded table.
    :param from_files: so many small files make it worth while.
    :param file_bytes: bytes of Arrow of a new file.
    """
    tasks = list(table.scan().plan_files())
    by_partition: dict[tuple[Any, ...], list[FileScanTask]] = defaultdict(list)
    for task in tasks:
        by_partition[_partition(task.file)].append(task)
    target_rows = _target_rows(table, tasks, file_bytes)
    with_deletes, with_company = [], []
    for group in by_partition.values():
        small = [task for task in group if task.file.record_count < target_rows * _SMALL]
        if any(task.delete_files for task in group):
            takes = target_rows * _SMALL if len(small) > 1 else 0
            with_deletes.append([task for task in group if task.delete_files or task.file.record_count < takes])
        elif len(small) > 1:
            with_company.append(small)
    groups = with_deletes
    if sum(len(group) for group in with_company) >= from_files:
        groups = [*with_deletes, *with_company]
    if groups:
        return CompactionPlan(groups=tuple(map(tuple, groups)), target_rows=target_rows)
    return CompactionPlan(manifests_only=_manifests_need_it(table))


def compact(table: Table, *, from_files: int, file_bytes: int) -> Compacted:
    """Rewrite what is worth it, in one commit.

    :param table: the loaded table; it is refreshed by the commit.
    :param from_files: so many small files make it worth while.
    :param file_bytes: bytes of Arrow of a new file.
    :raises CommitFailedException: when someone else committed since the table was loaded; load it and plan again.
    :raises ValidationException: likewise.
    """
    plan = plan_compaction(table, from_files=from_files, file_bytes=file_bytes)
    if not plan.groups and not plan.manifests_only:
        return Compacted()
    numbers = _sequence_numbers(table)
    added: list[DataFile] = []
    same_rows: dict[str, int] = {}
    try:
        for group in plan.groups:
            newest = max(numbers[task.file.file_path] for task in group)
            for rows in _new_files(table, group, plan.target_rows):
                written = write_files(table, rows, file_bytes=max(rows.nbytes, 1))
                added += written
                same_rows |= {file.file_path: newest for file in written}
    except BaseException:
        discard(table, added)
        raise
    snapshot_id = commit_once(
        table,
        added=added,
        removed=[task.file for group in plan.groups for task in group],
        same_rows=same_rows,
        snapshot_properties={SAME_ROWS_AS: str(last_change(table))},
    )
    log.info("%s: %d files rewritten into %d", ".".join(table.name()), plan.files, len(added))
    return Compacted(files=plan.files, into=len(added), snapshot_id=snapshot_id)


def _partition(file: DataFile) -> tuple[Any, ...]:
    return (file.spec_id, *(file.partition[place] for place in range(len(file.partition))))


def _target_rows(table: Table, tasks: Sequence[FileScanTask], file_bytes: int) -> int:
    """Rows of a new file, by what a row of one of the files takes in memory."""
    filled = [task for task in tasks if task.file.record_count]
    if not filled:
        return 1
    # The largest of those that are surely small enough to look into, because a few rows say little of the others.
    sample = max(
        (task for task in filled if task.file.file_size_in_bytes <= file_bytes),
        key=lambda task: task.file.record_count,
        default=min(filled, key=lambda task: task.file.file_size_in_bytes),
    )
    rows = read_file(table, KeyedFile(FileScanTask(sample.file), None, None))
    return max(1, int(file_bytes / max(1.0, rows.nbytes / max(1, rows.num_rows))))


def _manifests_need_it(table: Table) -> bool:
    snapshot = table.current_snapshot()
    if snapshot is None:
        return False
    manifests = snapshot.manifests(table.io)
    length = sum(one.manifest_length for one in manifests)
    many = len(manifests) >= _MANY_MANIFESTS and length < len(manifests) * MANIFEST_BYTES * _SMALL
    return many or any(one.content == ManifestContent.DELETES for one in manifests)


def _sequence_numbers(table: Table) -> dict[str, int]:
    snapshot = table.current_snapshot()
    return {
        entry.data_file.file_path: entry.sequence_number or 0
        for manifest in (snapshot.manifests(table.io) if snapshot else ())
        if manifest.content == ManifestContent.DATA
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True)
    }


def _new_files(table: Table, group: Sequence[FileScanTask], target_rows: int) -> Iterator[pa.Table]:
    """The rows of some files, a new file's worth at a time."""
    count = sum(task.file.record_count for task in group)
    size = max(1, math.ceil(count / max(1, math.ceil(count / target_rows))))
    column = _sorted_by(table)
    pieces = _as_they_come(table, group, size) if column is None else _in_order(table, group, size, column)
    return (rows for rows in pieces if rows.num_rows)


def _as_they_come(table: Table, group: Sequence[FileScanTask], size: int) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for task in sorted(group, key=lambda task: task.file.file_path):
        rows = _read(table, task)
        while sum(piece.num_rows for piece in waiting) + rows.num_rows >= size:
            missing = size - sum(piece.num_rows for piece in waiting)
            yield pa.concat_tables([*waiting, rows.slice(0, missing)])
            waiting, rows = [], rows.slice(missing)
        waiting.append(rows)
    if waiting:
        yield pa.concat_tables(waiting)


def _in_order(table: Table, group: Sequence[FileScanTask], size: int, column: str) -> Iterator[pa.Table]:
    """Files are read as often as there are new files that take rows of theirs; in memory is one new file."""
    keys = pa.chunked_array(
        [chunk for task in group for chunk in _read(table, task, [column]).column(column).chunks], pa.string()
    )
    keys = keys.drop_null()
    ordered = keys.take(pc.sort_indices(keys))
    # A key stays in one file; rows without one are in the first.
    bounds = dict.fromkeys(ordered[place].as_py() for place in range(size, len(ordered), size))
    for start, end in itertools.pairwise([None, *bounds, None]):
        if start is None and end is None:
            rows = pa.concat_tables([_read(table, task) for task in group])
        else:
            rows = pa.concat_tables([_read_between(table, task, column, start, end) for task in group])
        yield rows.take(pc.sort_indices(rows.column(column)))


def _read_between(table: Table, task: FileScanTask, column: str, start: str | None, end: str | None) -> pa.Table:
    if start is None:
        # A filter that leaves out missing keys would lose their rows.
        rows = _read(table, task)
        keys = rows.column(column)
        return rows.filter(pc.or_kleene(pc.less(keys, end), pc.is_null(keys)))
    row_filter: BooleanExpression = GreaterThanOrEqual(column, start)  # type: ignore[misc, call-arg]
    if end is not None:
        row_filter = And(row_filter, LessThan(column, end))  # type: ignore[misc, call-arg]
    return read_file(table, KeyedFile(task, None, None), row_filter=row_filter)


def _read(table: Table, task: FileScanTask, columns: list[str] | None = None) -> pa.Table:
    return read_file(table, KeyedFile(task, None, None), columns)


def _sorted_by(table: Table) -> str | None:
    """The text column by which the table says that its files are sorted."""
    for field in table.sort_order().fields:
        name = table.schema().find_column_name(field.source_id)
        if isinstance(field.transform, IdentityTransform) and name is not None:
            return name if str(table.schema().find_type(name)) == "string" else None
    return None
