"""Deletions found by absence: a complete read in which an Id of the mirror does not occur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from include.config.object_file import ObjectFile
from include.lake.changes_log import ChangesLog
from include.lake.data_files import KeyedFile, read_file
from include.lake.erased import ErasedIds
from include.lake.placement import Probed
from include.lake.row_hash import row_hashes

_MOMENT = pa.timestamp("us", tz="UTC")
#: Ids named in the refusal.
EXAMPLES = 5


class SuspiciousRead(RuntimeError):
    """A full refresh misses so many records that the read is not believed. Nothing was deleted or logged."""


@dataclass
class Absence:
    """Collects what is gone while the mirror's key columns are read.

    :param present: Ids that are in the org although they were not accepted (they are in quarantine).
    :param erased: records that leave the lake whether they are in the org or not.
    """

    present: pa.StringArray
    erased: ErasedIds
    live: int = 0
    _gone: dict[int, list[pa.StringArray]] = field(default_factory=dict)

    def note(self, probed: Probed) -> None:
        """Look for Ids of a piece of a file that were not read.

        :param probed: its id and isdeleted, matched with the accepted Ids.
        """
        alive = pc.invert(probed.rows.column("isdeleted").fill_null(False))
        self.live += pc.sum(alive).as_py() or 0
        ids = probed.rows.column("id").filter(pc.and_(alive, pc.is_null(probed.matches)))
        ids = ids.filter(pc.invert(pc.is_in(ids, value_set=self.present)))
        if len(ids) and self.erased:
            leaving = self.erased.among(ids)
            self.live -= leaving.true_count
            ids = ids.filter(pc.invert(leaving))
        if len(ids):
            self._gone.setdefault(probed.number, []).append(ids.combine_chunks())

    def ids(self) -> pa.StringArray:
        """All Ids that are gone, sorted."""
        pieces = [ids for of_file in self._gone.values() for ids in of_file]
        found = pa.concat_arrays(pieces) if pieces else pa.array([], pa.string())
        return found.take(pc.sort_indices(found))

    def rows(self, mirror: Table, files: list[KeyedFile], spared: pa.StringArray) -> tuple[pa.Table, list[int]]:
        """The mirror's rows of the Ids that are gone, and the number of each one's file.

        :param mirror: the loaded table.
        :param files: the files that were probed.
        :param spared: Ids that are left alone.
        """
        found: list[pa.Table] = []
        numbers: list[int] = []
        for number, pieces in self._gone.items():
            ids = pa.concat_arrays(pieces)
            wanted = ids.filter(pc.invert(pc.is_in(ids, value_set=spared)))
            if len(wanted):
                rows = read_file(mirror, files[number])
                found.append(rows.filter(pc.is_in(rows.column("id"), value_set=wanted)))
                numbers.extend([number] * found[-1].num_rows)
        return (pa.concat_tables(found) if found else pa.table({})), numbers


def check_volume(*, gone: Sequence[str], count: int, live: int, object_file: ObjectFile, table: str) -> None:
    """Refuse to believe that too large a part of the records was deleted.

    :param gone: some of the Ids that are gone, the first ones.
    :param count: how many are gone.
    :param live: rows of the mirror that were not deleted before.
    :param object_file: holds both limits.
    :param table: the mirror's name.
    :raises SuspiciousRead: when both limits are passed; with counts, examples and the remedy.
    """
    if not is_suspicious(count, live, object_file):
        return
    raise SuspiciousRead(
        f"{table}: {count} of {live} records ({_percent(count, live):.1f} %) are missing from this full refresh of "
        f"{object_file.object}, for example {', '.join(gone[:EXAMPLES])}. More than "
        f"{object_file.max_volume_deviation_percent:g} % and at least "
        f"{object_file.min_volume_deviation_rows} rows at once are not believed, so nothing was deleted or logged. "
        "Check whether the integration user still sees them (profile, permission sets, sharing rules, license). If "
        "they really are deleted, raise max_volume_deviation_percent (up to 100) in the object file of "
        f"{object_file.object} for one full refresh."
    )


def is_suspicious(count: int, live: int, object_file: ObjectFile) -> bool:
    """Whether too large a part of the records is gone to be believed.

    :param count: how many are gone.
    :param live: rows of the mirror that were not deleted before.
    :param object_file: holds both limits.
    """
    many = _percent(count, live) > object_file.max_volume_deviation_percent
    return many and count >= object_file.min_volume_deviation_rows


def _percent(count: int, live: int) -> float:
    return 100 * count / live if live else 0.0


def as_deletions(
    rows: pa.Table, known: pa.Array | pa.ChunkedArray, *, object_file: ObjectFile, window_end: datetime
) -> pa.Table:
    """Turn the mirror's rows into the observation that they are gone.

    They carry the last known values; what is known of them is what their last observation had observed.

    :param rows: rows of the mirror.
    :param known: `_observed_columns` of each one's last observation.
    :param object_file: names source columns and cursor.
    :param window_end: when they were found gone (UTC).
    :return: the same rows with isdeleted, dates, `_row_hash` and `_observed_columns` set.
    """
    gone_at = pa.scalar(window_end, _MOMENT)
    for name in {"lastmodifieddate", "systemmodstamp", object_file.cursor_column} & set(rows.schema.names):
        rows = _with(rows, name, pa.repeat(gone_at, rows.num_rows))
    rows = _with(rows, "isdeleted", pa.repeat(pa.scalar(True), rows.num_rows))
    rows = _with(rows, "_row_hash", row_hashes(rows, object_file.columns))
    return rows.append_column("_observed_columns", known)


def observed_before(rows: pa.Table, log: ChangesLog, default: str) -> pa.ChunkedArray:
    """`_observed_columns` of the observations that some rows of the mirror came from.

    :param rows: rows of the mirror.
    :param log: holds the observations.
    :param default: for a row that the log does not know.
    """
    span = pc.min_max(rows.column("_extracted_at")).as_py()
    ids = rows.column("id").combine_chunks()
    columns = ["id", "_extracted_at", "_row_hash", "_observed_columns"]
    logged = log.logged_between(ids.take(pc.sort_indices(ids)), span["min"], span["max"], columns)
    logged = logged.group_by(columns[:3]).aggregate([("_observed_columns", "max")])
    positions = pa.table({**{name: rows.column(name) for name in columns[:3]}, "position": range(rows.num_rows)})
    joined = positions.join(logged, keys=columns[:3], join_type="left outer").sort_by("position")
    return joined.column("_observed_columns_max").fill_null(default)


def _with(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    position = rows.schema.get_field_index(name)
    return rows.set_column(position, rows.schema.field(position), values.cast(rows.schema.field(position).type))
