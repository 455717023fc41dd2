"""The upsert: accepted records into the changes log, then into the mirror, whatever else happens at the same time.

Two commits, in this order: (1) observations are appended to the log, provided that nobody else has appended since they
were planned; (2) the mirror takes the last observation of each Id, and its watermark moves, in one commit. A crash
between them is made good by the next run, which first applies what the log has and the mirror lacks. Whoever loses a
race plans again from fresh metadata, so that every outcome is one that some order of calm runs would have had.

Memory: the rows that say something new, the Ids and hashes of all accepted records, and one data file at a time. A
first load therefore holds all of its rows: a few million narrow ones on a small worker.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.table import Table

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.changes_log import ChangesLog
from include.lake.copy_on_write import merge
from include.lake.erased import ErasedIds, read_erased
from include.lake.mirror import apply_log
from include.lake.names import RawTables
from include.lake.observations import Observations, RunObservations, as_utc
from include.lake.tables import arrow_schema, ensure_tables, source_columns
from include.lake.watermark import (
    APPLIED_CHANGES_SNAPSHOT,
    LAST_FULL_REFRESH,
    NEWEST_WINDOW_END,
    ORG_ID,
    STATE_PROPERTIES,
    WATERMARK,
    LakeState,
    later_of,
    refuse_foreign_org,
    written,
)
from include.staging.manifest import UpsertManifest, ValidationManifest
from include.staging.store import exists

log = logging.getLogger(__name__)

#: Moments of an upsert at which it can be looked at (and, in tests, interrupted).
Step = Literal["recovered", "planned", "logged", "merged"]

_LONGEST_WAIT_SECONDS = 5.0


class UpsertContended(RuntimeError):
    """Other writers were faster every time. Nothing is lost: the task can simply run again."""


class Overtaken(Exception):
    """Another run got between planning and commit; plan again."""


@dataclass
class _Tally:
    logged: int = 0
    deleted: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    recovered: int = 0
    judged_absence: bool = False


def upsert(
    catalog: Catalog,
    object_file: ObjectFile,
    environment: Environment,
    validation: ValidationManifest,
    *,
    attempts: int = 10,
    on_step: Callable[[Step], None] | None = None,
) -> UpsertManifest:
    """Bring what a run accepted into the lake. Running it again, from whatever point, ends in the same lake.

    :param catalog: the Iceberg catalog.
    :param object_file: the object.
    :param environment: names the tables.
    :param validation: what was accepted, and the plan and extraction behind it.
    :param attempts: how often to plan when other writers commit in between.
    :param on_step: told of each step as it is done.
    :raises ForeignOrg: when the lake belongs to another org.
    :raises SuspiciousRead: when a full refresh misses too many records.
    :raises IncompatibleColumn: when a field's type in the org no longer fits its column.
    :raises UpsertContended: when every attempt met another writer's commit.
    """
    run = _Upsert(catalog, object_file, environment, validation, on_step or _unwatched)
    for attempt in range(1, attempts + 1):
        try:
            return run.once(attempt)
        except (CommitFailedException, ValidationException, Overtaken, FileNotFoundError) as conflict:
            if isinstance(conflict, FileNotFoundError) and not run.files_are_there():
                raise  # a staged file lacks; any other one was there at planning, and was erased since
            log.info("%s: attempt %d met another writer: %s", run.tables.mirror, attempt, conflict)
            if attempt == attempts:
                raise UpsertContended(
                    f"{run.tables.mirror}: other writers committed during each of {attempts} attempts; the last "
                    f"conflict: {conflict}. Nothing is lost. Let the other runs of {object_file.dag_id} end (the DAG "
                    "allows one at a time; look for a backfill or a second deployment), then clear this task."
                ) from conflict
            time.sleep(random.uniform(0, min(_LONGEST_WAIT_SECONDS, 0.05 * 2**attempt)))  # noqa: S311
    raise ValueError(f"attempts must be at least 1, got {attempts}")


def _unwatched(_: Step) -> None:
    """Nobody looks on."""


class _Upsert:
    def __init__(
        self,
        catalog: Catalog,
        object_file: ObjectFile,
        environment: Environment,
        validation: ValidationManifest,
        on_step: Callable[[Step], None],
    ) -> None:
        self.catalog, self.object_file, self.environment = catalog, object_file, environment
        self.validation, self.on_step = validation, on_step
        self.plan = validation.extraction.plan
        self.extracted_at = as_utc(validation.extraction.extracted_at)
        self.tables = RawTables.of(object_file, environment)
        self.columns = source_columns(object_file, self.plan.fields)
        self.erased = ErasedIds(self.plan.org_id)
        self.tally = _Tally()
        self.ready = False

    def once(self, attempt: int) -> UpsertManifest:
        """Plan on fresh metadata and commit; raises if someone else commits meanwhile."""
        if not self.ready:
            ensure_tables(self.catalog, self.object_file, self.environment, self.columns)
            self.ready = True
        mirror, changes, state = self._load()
        if self._recover(mirror, changes, state):
            mirror, changes, state = self._load()
            if changes.head != state.applied_changes_snapshot:
                raise Overtaken("the log has grown since the mirror applied it")
        found = RunObservations(
            mirror=mirror,
            changes=changes,
            state=state,
            object_file=self.object_file,
            validation=self.validation,
            erased=self.erased,
        ).find()
        self.on_step("planned")
        self.tally.unchanged = found.unchanged
        head = self._append(changes, found)
        self._merge(mirror, state, found, head)
        return self._manifest(LakeState.of(mirror), attempt)

    def _load(self) -> tuple[Table, ChangesLog, LakeState]:
        """Mirror, log and register of erasures as they are now. What the mirror has applied is in the log after it."""
        mirror = self.catalog.load_table(self.tables.mirror)
        state = LakeState.of(mirror)
        refuse_foreign_org(state, org_id=self.plan.org_id, table=self.tables.mirror)
        changes = self._changes()
        # Last: an erasure that is recorded after this moves a property that both commits require to be unmoved.
        self.erased = read_erased(
            self.catalog,
            self.environment.operations_namespace,
            object_name=self.object_file.object,
            org_id=self.plan.org_id,
        )
        return mirror, changes, state

    def files_are_there(self) -> bool:
        """Whether every staged file is still there."""
        return all(exists(uri) for uri in (*self.validation.files, *self.validation.present_files))

    def _recover(self, mirror: Table, changes: ChangesLog, state: LakeState) -> bool:
        """Apply what the log has and the mirror lacks; whether there was any."""
        recovered = apply_log(mirror, changes, state, run_id=self.plan.run_id, extracted_at=self.extracted_at)
        if recovered is None:
            return False
        self.tally.recovered += recovered.others
        if self.tally.logged:  # by this very call: its first attempt lost the race for the mirror
            self.tally.inserted += recovered.own_inserted
            self.tally.updated += recovered.own_updated
        else:
            self.tally.recovered += recovered.own_inserted + recovered.own_updated
        self.on_step("recovered")
        return True

    def _append(self, changes: ChangesLog, found: Observations) -> int | None:
        """Commit the observations to the log; its snapshot afterwards."""
        if found.rows.num_rows:
            last_look = self._may_still_delete if found.deleted else None
            head = changes.append(found.rows, run_id=self.plan.run_id, last_look=last_look)
            self.tally.logged += found.rows.num_rows
            self.tally.deleted += found.deleted
            self.on_step("logged")
        else:
            head = changes.head
        self.tally.judged_absence |= found.judged_absence
        return head

    def _merge(self, mirror: Table, state: LakeState, found: Observations, head: int | None) -> None:
        properties = self._properties(state, found, head)
        rows = found.mirror_rows(arrow_schema(mirror))
        if rows.num_rows or any(mirror.properties.get(name) != value for name, value in properties.items()):
            merged = merge(
                mirror,
                rows,
                found.placement,
                properties=properties,
                unmoved=STATE_PROPERTIES,
                snapshot_properties={"sf-history.run-id": self.plan.run_id},
                last_look=lambda: self._log_is_still_at(head),
            )
            self.tally.inserted += merged.inserted
            self.tally.updated += merged.updated
        self.on_step("merged")

    def _properties(self, state: LakeState, found: Observations, head: int | None) -> dict[str, str]:
        window = self.plan.window
        newest = later_of(state.newest_window_end, window.end) if found.rows.num_rows else state.newest_window_end
        refreshed = later_of(state.last_full_refresh, window.end if self.tally.judged_absence else None)
        watermark = state.advanced_by(window, self.validation.extraction.covered_until)
        return {
            ORG_ID: self.plan.org_id,
            **({WATERMARK: written(watermark)} if watermark else {}),
            **({LAST_FULL_REFRESH: written(refreshed)} if refreshed else {}),
            **({NEWEST_WINDOW_END: written(newest)} if newest else {}),
            **({APPLIED_CHANGES_SNAPSHOT: str(head)} if head is not None else {}),
        }

    def _may_still_delete(self) -> None:
        state = LakeState.of(self.catalog.load_table(self.tables.mirror))
        if not state.may_delete(self.plan.window):
            raise Overtaken(f"a newer run has moved the watermark to {state.watermark}; absence proves nothing now")

    def _log_is_still_at(self, head: int | None) -> None:
        """What was not logged, because it said nothing new, may say something new beside what was logged since."""
        if self._changes().head != head:
            raise Overtaken("another run has logged observations since this one was planned")

    def _changes(self) -> ChangesLog:
        return ChangesLog(self.catalog.load_table(self.tables.changes), self.plan.cursor.lower())

    def _manifest(self, state: LakeState, attempt: int) -> UpsertManifest:
        return UpsertManifest(
            table=self.tables.mirror,
            logged=self.tally.logged,
            deleted=self.tally.deleted,
            inserted=self.tally.inserted,
            updated=self.tally.updated,
            unchanged=self.tally.unchanged,
            recovered=self.tally.recovered,
            mirror_rows=state.rows,
            watermark=state.watermark,
            last_full_refresh=state.last_full_refresh,
            attempts=attempt,
        )
