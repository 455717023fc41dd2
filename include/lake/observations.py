"""Which records of a run are observations that the log does not have yet, and which of them the mirror takes.

The rule: a record is logged if (_change, _row_hash) differs from its Id's last log row whose `_window_end` is at or
before the run's own. Once the mirror has applied the whole log, its row *is* that last log row, unless the log knows
something of the Id from a later window. So the log is read only for a run that is not the newest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.table import Table

from include.config.object_file import ObjectFile
from include.lake.absence import EXAMPLES, Absence, as_deletions, check_volume, observed_before
from include.lake.accepted import AcceptedKeys, read_ids, read_keys, read_rows
from include.lake.changes_log import ChangesLog, last_per_id
from include.lake.data_files import SortedIds
from include.lake.erased import ErasedIds
from include.lake.placement import Placement, empty_placement, probe
from include.lake.tables import arrow_schema
from include.lake.watermark import LakeState
from include.staging.manifest import ValidationManifest, Window

log = logging.getLogger(__name__)

_KEY_COLUMNS = ("id", "_row_hash", "isdeleted", "_extracted_at")
_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What one run has to add.

    :param rows: for the log, in its schema, sorted by id.
    :param for_mirror: which of them are their Id's last observation.
    :param placement: where the mirror holds those.
    :param deleted: how many of the rows are deletions.
    :param unchanged: records inside the window that say nothing new.
    :param judged_absence: whether absence was taken as deletion.
    """

    rows: pa.Table
    for_mirror: npt.NDArray[np.bool_]
    placement: Placement
    deleted: int
    unchanged: int
    judged_absence: bool

    def mirror_rows(self, schema: pa.Schema) -> pa.Table:
        """The rows that the mirror takes.

        :param schema: the mirror's Arrow schema.
        """
        rows = self.rows if self.for_mirror.all() else self.rows.filter(pa.array(self.for_mirror))
        return rows.select(schema.names).cast(schema)


@dataclass(frozen=True)
class _Later:
    """What the log knows of a run's Ids at and after the run's window end.

    :param ids: Ids that were observed in a later window.
    :param level: last observations of the other Ids in windows with the same end.
    """

    ids: pa.StringArray
    level: pa.Table


class RunObservations:
    """Finds the observations of one run, given the tables as they were loaded together.

    :param mirror: has applied all of the log.
    :param changes: the log.
    :param state: what the mirror remembers.
    :param object_file: the object.
    :param validation: what was accepted.
    :param erased: records that must not come in, read after the tables were loaded.
    """

    def __init__(
        self,
        *,
        mirror: Table,
        changes: ChangesLog,
        state: LakeState,
        object_file: ObjectFile,
        validation: ValidationManifest,
        erased: ErasedIds,
    ) -> None:
        self.erased = erased
        self.mirror, self.changes, self.state = mirror, changes, state
        self.object_file, self.validation = object_file, validation
        plan = validation.extraction.plan
        self.window, self.run_id = plan.window, plan.run_id
        self.window_end = plan.window.end.astimezone(UTC)
        self.extracted_at = as_utc(validation.extraction.extracted_at)
        self.observed = plan.observed_columns

    def find(self) -> Observations:
        """Compare the accepted records with the lake.

        :raises SuspiciousRead: when a full refresh misses too many records.
        :raises RepeatedIds: when the validated files hold an Id twice.
        """
        keys = read_keys(
            self.validation.files,
            columns=self.object_file.columns,
            cursor=self.validation.extraction.plan.cursor.lower(),
            window_end=self.window_end,
            table=self.object_file.table,
        )
        if self.erased:
            keys = keys.without(self.erased.among(keys.ids.ids))
        present = self.validation.present_files
        absence = (
            Absence(read_ids(present), self.erased) if may_delete(self.state, self.window, self.object_file) else None
        )
        placement = empty_placement(self.mirror, keys.ids, everywhere=absence is not None)
        for probed in probe(self.mirror, placement, _KEY_COLUMNS):
            placement.note(probed)
            if absence is not None:
                absence.note(probed)
        gone = absence.ids() if absence else pa.array([], pa.string())
        if absence is not None:
            check_volume(
                gone=gone[:EXAMPLES].to_pylist(),
                count=len(gone),
                live=absence.live,
                object_file=self.object_file,
                table=".".join(self.mirror.name()),
            )
        later = self._later(keys, gone)
        new = self._new(keys, placement, later)
        upserts = read_rows(self.validation.files, keys, new, self._source_schema())
        upserts = upserts.append_column("_row_hash", keys.hashes.filter(pa.array(new)))
        upserts = self._as_log_rows(upserts, "upsert", pa.repeat(pa.scalar(self.observed), upserts.num_rows))
        deletions, gone_from = self._deletions(absence, placement, later)
        rows, file_of = upserts, placement.file_of[new]
        if deletions.num_rows:
            rows = pa.concat_tables([upserts, deletions])
            order = pc.sort_indices(rows.column("id")).to_numpy()
            rows, file_of = rows.take(order), np.append(file_of, np.array(gone_from, np.int32))[order]
        for_mirror = self._wins(rows, later)
        ids = rows.column("id").filter(pa.array(for_mirror)).combine_chunks()
        return Observations(
            rows=rows,
            for_mirror=for_mirror,
            placement=Placement(ids=SortedIds(ids), files=placement.files, file_of=file_of[for_mirror]),
            deleted=deletions.num_rows,
            unchanged=int((keys.within & ~new).sum()),
            judged_absence=absence is not None,
        )

    def _later(self, keys: AcceptedKeys, gone: pa.StringArray) -> _Later | None:
        """None for a run whose window ends after all that the log holds, which is nearly every run."""
        if self.state.newest_window_end is None or self.window_end > self.state.newest_window_end:
            return None
        ids = pa.concat_arrays([keys.ids.ids.filter(pa.array(keys.within)), gone])
        found = self.changes.last_of(
            ids.take(pc.sort_indices(ids)), columns=("_extraction_run_id",), since=self.window_end
        )
        after = pc.greater(found.column("_window_end"), pa.scalar(self.window_end, _MOMENT))
        return _Later(
            ids=found.column("id").filter(after).combine_chunks(),
            level=found.filter(pc.invert(after)),
        )

    def _new(self, keys: AcceptedKeys, placement: Placement, later: _Later | None) -> npt.NDArray[np.bool_]:
        """Which accepted records differ from the last observation at or before the run's window end."""
        ids = keys.ids.ids
        same = _flags(pc.equal(keys.hashes, placement.values("_row_hash").cast(pa.string())))
        same &= ~self._follows_deletion(keys, placement, same)
        if later is not None and len(later.ids):
            passed = _flags(pc.is_in(ids, value_set=later.ids))
            before = self.changes.last_of(ids.filter(pa.array(passed)), columns=("_change",), until=self.window_end)
            before = before.filter(pc.equal(before.column("_change"), "upsert"))
            position = pc.index_in(ids, value_set=before.column("id").combine_chunks())
            same[passed] = _flags(pc.equal(keys.hashes, before.column("_row_hash").take(position)))[passed]
        new = keys.within & ~same
        if later is not None and new.any():
            candidates = ids.filter(pa.array(new))
            new[new] = ~_flags(self.changes.in_batch(candidates, self.run_id, self.extracted_at))
        return new

    def _follows_deletion(
        self, keys: AcceptedKeys, placement: Placement, same: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Records with the hash of a deletion found by absence: not the same, because `_change` differs.

        Possible only where the org itself says isdeleted, with a cursor that happens to be a window's end.
        """
        doubtful = keys.within & same & _flags(placement.values("isdeleted").cast(pa.bool_()))
        result = np.zeros(len(same), np.bool_)
        if doubtful.any():
            ids = keys.ids.ids.filter(pa.array(doubtful))
            extracted = placement.values("_extracted_at").filter(pa.array(doubtful))
            span = pc.min_max(extracted).as_py()
            columns = ["id", "_extracted_at", "_row_hash", "_change"]
            logged = self.changes.logged_between(ids, span["min"], span["max"], columns)
            position = pc.index_in(logged.column("id"), value_set=ids)
            is_mirrors = pc.equal(logged.column("_extracted_at"), extracted.take(position))
            is_mirrors = pc.and_(is_mirrors, pc.equal(logged.column("_change"), "delete"))
            deletions = logged.filter(is_mirrors)
            deleted_hash = deletions.column("_row_hash").take(
                pc.index_in(ids, value_set=deletions.column("id").combine_chunks())
            )
            result[doubtful] = _flags(pc.equal(keys.hashes.filter(pa.array(doubtful)), deleted_hash))
        return result

    def _deletions(
        self, absence: Absence | None, placement: Placement, later: _Later | None
    ) -> tuple[pa.Table, list[int]]:
        schema = arrow_schema(self.changes.table)
        if absence is None:
            return schema.empty_table(), []
        spared = later.ids if later else pa.array([], pa.string())
        rows, numbers = absence.rows(self.mirror, placement.files, spared)
        if rows.num_rows == 0:
            return schema.empty_table(), []
        known = observed_before(rows, self.changes, self.observed)
        rows = as_deletions(rows, known, object_file=self.object_file, window_end=self.window_end)
        return self._as_log_rows(rows.drop_columns(["_observed_columns"]), "delete", rows["_observed_columns"]), numbers

    def _wins(self, rows: pa.Table, later: _Later | None) -> npt.NDArray[np.bool_]:
        """Which log rows are their Id's last observation."""
        wins = np.ones(rows.num_rows, np.bool_)
        if later is None or rows.num_rows == 0:
            return wins
        wins = ~_flags(pc.is_in(rows.column("id"), value_set=later.ids))
        columns = ["id", *self.changes.order, "_extraction_run_id"]
        level = later.level.select(columns).append_column("own", pa.array([False] * later.level.num_rows, pa.bool_()))
        own = rows.select(columns).append_column("own", pa.array([True] * rows.num_rows))
        last = last_per_id(pa.concat_tables([level, own]), self.changes.order)
        lost = last.column("id").filter(pc.invert(last.column("own"))).combine_chunks()
        return wins & ~_flags(pc.is_in(rows.column("id"), value_set=lost))

    def _as_log_rows(self, rows: pa.Table, change: str, observed: pa.Array | pa.ChunkedArray) -> pa.Table:
        count = rows.num_rows
        values: Mapping[str, pa.Array | pa.ChunkedArray] = {
            **{name: rows.column(name) for name in rows.schema.names},
            "_extracted_at": pa.repeat(pa.scalar(self.extracted_at, _MOMENT), count),
            "_extraction_run_id": pa.repeat(pa.scalar(self.run_id), count),
            "_change": pa.repeat(pa.scalar(change), count),
            "_window_end": pa.repeat(pa.scalar(self.window_end, _MOMENT), count),
            "_observed_columns": observed,
        }
        schema = arrow_schema(self.changes.table)
        return pa.table(
            [
                values[field.name].cast(field.type) if field.name in values else pa.nulls(count, field.type)
                for field in schema
            ],
            schema=schema,
        )

    def _source_schema(self) -> pa.Schema:
        schema = arrow_schema(self.changes.table)
        return pa.schema([schema.field(name) for name in self.object_file.columns])


def may_delete(state: LakeState, window: Window, object_file: ObjectFile) -> bool:
    """Whether a run may take absence as deletion; a full refresh that may not says so.

    :param state: what the mirror remembers.
    :param window: the run's.
    :param object_file: the object.
    """
    allowed = state.may_delete(window)
    if window.full_refresh and not allowed:
        log.warning(
            "%s: this full refresh ends at %s, before the watermark %s or the last complete refresh %s. Something "
            "newer has been seen since, so what it does not find is not taken as deleted.",
            object_file.table,
            window.end.astimezone(UTC),
            state.watermark,
            state.last_full_refresh,
        )
    return allowed


def as_utc(moment: datetime) -> datetime:
    """A moment in UTC; one without a zone is meant as UTC.

    :param moment: any moment.
    """
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _flags(values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Booleans as numpy; null is false."""
    return np.asarray(values.fill_null(False)).astype(np.bool_)
