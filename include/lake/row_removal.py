"""Rows of some records taken out of one table for good: every data file that holds one is written anew without it.

Nothing is left to position deletes, which hide a row and leave its bytes; rows that another engine hid that way go as
well. A rewritten file keeps its order and its partition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, In
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask, Table

from include.lake.data_files import KeyedFile, discard, read_file, write_files
from include.lake.one_commit import commit_once, tells_of_deleted

#: In the summary of a snapshot that only took rows away: whoever has applied its parent has applied it.
REMOVAL = "sf-history.removal"


@dataclass(frozen=True)
class Wanted:
    """The records that are to go.

    :param ids: their 18-character Ids.
    """

    ids: tuple[str, ...]

    @property
    def forms(self) -> pa.StringArray:
        """The Ids in both their forms."""
        return pa.array([*self.ids, *(identity[:15] for identity in self.ids)], pa.string())

    def chosen(
        self, rows: pa.Table | pa.RecordBatch, column: str, texts: Sequence[str] = ()
    ) -> pa.Array | pa.ChunkedArray:
        """Which rows are theirs.

        :param rows: with these columns.
        :param column: holds an Id.
        :param texts: columns with text that may name an Id.
        """
        found = pc.fill_null(pc.is_in(rows.column(column), value_set=self.forms), False)
        pattern = "|".join(sorted({identity[:15] for identity in self.ids}))
        for name in texts:
            found = pc.or_(found, pc.fill_null(pc.match_substring_regex(rows.column(name), pattern), False))
        return found

    def counted(self, rows: pa.Table, column: str, texts: Sequence[str] = ()) -> Counter[str]:
        """How many rows are each one's; a row that names two of them counts for both.

        :param rows: those that were chosen.
        :param column: holds an Id.
        :param texts: columns with text that may name an Id.
        """
        counts: Counter[str] = Counter()
        for row in rows.select([column, *texts]).to_pylist():
            said = [value for value in row.values() if value]
            counts.update(identity for identity in self.ids if any(identity[:15] in value for value in said))
        return counts


@dataclass(frozen=True)
class Removal:
    """What was taken out of a table.

    :param rows: rows by 18-character Id; those that were hidden by position deletes do not count.
    :param files: data files that were written anew, or dropped.
    """

    rows: Counter[str]
    files: int


def remove_rows(
    table: Table,
    wanted: Wanted,
    *,
    column: str,
    texts: Sequence[str] = (),
    everywhere: bool = False,
    properties: Mapping[str, str] | None = None,
    unmoved: Iterable[str] = (),
) -> Removal:
    """Take the rows of some records out of a table, in one commit.

    :param table: the loaded table.
    :param wanted: whose rows.
    :param column: holds the Id.
    :param texts: columns with text that may name an Id; a row that does goes too.
    :param everywhere: look into every file, whatever its manifest says of the Ids in it: another engine wrote it.
    :param properties: table properties to set in the same commit, also if no row is found.
    :param unmoved: names of properties that must be as they were at planning.
    :raises CommitFailedException: when someone else committed since the table was loaded; load it and try again.
    """
    rows: Counter[str] = Counter()
    added: list[DataFile] = []
    removed: list[DataFile] = []
    try:
        for task in _may_hold(table, wanted, column, everywhere=everywhere or bool(texts)):
            # Read without its position deletes: what they hide is still in the file.
            bodily = read_file(table, KeyedFile(FileScanTask(task.file), None, None), [column, *texts])
            if not pc.any(wanted.chosen(bodily, column, texts)).as_py():
                continue
            live = read_file(table, KeyedFile(task, None, None))
            theirs = wanted.chosen(live, column, texts)
            rows += wanted.counted(live.filter(theirs), column, texts)
            removed.append(task.file)
            added += write_files(table, live.filter(pc.invert(theirs)), file_bytes=max(live.nbytes, 1))
    except BaseException:
        discard(table, added)
        raise
    # What is gone from the data must go from the manifests, which say what the lowest and highest values were.
    cleansing = bool(removed) or _tells_of_deleted(table)
    if cleansing or properties:
        commit_once(
            table,
            added=added,
            removed=removed,
            properties=properties,
            unmoved=unmoved,
            snapshot_properties={REMOVAL: "true"},
            cleansing=cleansing,
        )
    return Removal(rows=rows, files=len(removed))


def _may_hold(table: Table, wanted: Wanted, column: str, *, everywhere: bool) -> list[FileScanTask]:
    # A text may name any Id, whatever the bounds of the row's own are.
    theirs = AlwaysTrue() if everywhere else In(column, wanted.forms.to_pylist())  # type: ignore[misc, call-arg]
    return list(table.scan(row_filter=theirs).plan_files())


def _tells_of_deleted(table: Table) -> bool:
    snapshot = table.current_snapshot()
    return snapshot is not None and any(tells_of_deleted(manifest) for manifest in snapshot.manifests(table.io))
