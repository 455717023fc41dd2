"""The upsert: accepted records into the changes log, then into the mirror, whatever else happens at the same time.

Two commits, in this order: (1) observations are appended to the log, provided that nobody else has appended since they
were planned; (2) the mirror takes the last observation of each Id, and its watermark moves, in one commit. A crash
between them is made good by the next run, which first applies what the log has and the mirror lacks. Whoever loses a
race plans again from fresh metadata, so that every outcome is one that some order of calm runs would have had.

Who does the work is chosen once: this worker (`by_worker`) or, for a large mirror, an SQL engine (`by_engine`). Order,
properties and conflicts are the same.

Memory of the worker's way: the rows that say something new, the Ids and hashes of all accepted records, a piece of a
data file that is read and a row group of one that is written, however large the table is. A first load therefore holds
all of its rows: a few million narrow ones on a small worker.
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

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.by_engine import ByEngine
from include.lake.by_worker import ByWorker
from include.lake.changes_log import ChangesLog
from include.lake.draft import DraftLost
from include.lake.erased import ErasedIds, read_erased
from include.lake.names import RawTables
from include.lake.sql_engine import Engine, EngineFailed
from include.lake.tables import ensure_tables, source_columns
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
from include.lake.writers import Findings, LoadedLake, Writer
from include.staging.manifest import UpsertManifest, ValidationManifest
from include.staging.store import exists

log = logging.getLogger(__name__)

#: Moments of an upsert at which it can be looked at (and, in tests, interrupted).
#: "drafted" is an engine's alone: its MERGE is done and not published.
Step = Literal["recovered", "planned", "logged", "drafted", "merged"]

_LONGEST_WAIT_SECONDS = 5.0


class UpsertContended(RuntimeError):
    """Other writers were faster every time. Nothing is lost: the task can simply run again."""


class Overtaken(Exception):
    """Another run got between planning and commit; plan again."""


#: What an attempt that met another writer raises.
_CONFLICTS = (CommitFailedException, ValidationException, Overtaken, DraftLost, FileNotFoundError)


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
    engine: Engine | None = None,
    attempts: int = 10,
    on_step: Callable[[Step], None] | None = None,
) -> UpsertManifest:
    """Bring what a run accepted into the lake. Running it again, from whatever point, ends in the same lake.

    :param catalog: the Iceberg catalog.
    :param object_file: the object.
    :param environment: names the tables.
    :param validation: what was accepted, and the plan and extraction behind it.
    :param engine: Athena or Trino, where there is one; it works if the object file says so.
    :param attempts: how often to plan when other writers commit in between.
    :param on_step: told of each step as it is done.
    :raises ForeignOrg: when the lake belongs to another org.
    :raises SuspiciousRead: when a full refresh misses too many records.
    :raises IncompatibleColumn: when a field's type in the org no longer fits its column.
    :raises EngineFailed: when the engine did not finish a statement.
    :raises UpsertContended: when every attempt met another writer's commit.
    """
    run = _Upsert(catalog, object_file, environment, validation, engine, on_step or _unwatched)
    for attempt in range(1, attempts + 1):
        try:
            return run.once(attempt)
        except (*_CONFLICTS, EngineFailed) as conflict:
            if isinstance(conflict, FileNotFoundError) and not run.files_are_there():
                raise  # a staged file lacks; any other one was there at planning, and was erased since
            if isinstance(conflict, EngineFailed) and not run.has_moved():
                raise
            log.info("%s: attempt %d met another writer: %s", run.tables.mirror, attempt, conflict)
            if attempt == attempts:
                raise UpsertContended(
                    f"{run.tables.mirror}: other writers committed during each of {attempts} attempts; the last "
                    f"conflict: {conflict}. Nothing is lost. Let the other runs of {object_file.dag_id} end (the DAG "
                    "allows one at a time; look for a backfill or a second deployment), then clear this task."
                ) from conflict
            time.sleep(random.uniform(0, min(_LONGEST_WAIT_SECONDS, 0.05 * 2**attempt)))  # noqa: S311
        finally:
            run.clear_away()
    raise ValueError(f"attempts must be at least 1, got {attempts}")


def _unwatched(_: Step) -> None:
    """Nobody looks on."""


class _Upsert:
    def __init__(  # noqa: PLR0917
        self,
        catalog: Catalog,
        object_file: ObjectFile,
        environment: Environment,
        validation: ValidationManifest,
        engine: Engine | None,
        on_step: Callable[[Step], None],
    ) -> None:
        self.catalog, self.object_file, self.environment = catalog, object_file, environment
        self.validation, self.engine, self.on_step = validation, engine, on_step
        self.plan = validation.extraction.plan
        self.tables = RawTables.of(object_file, environment)
        self.columns = source_columns(object_file, self.plan.fields)
        self.writer: Writer | None = None
        self.lake: LoadedLake | None = None
        self.tally = _Tally()
        self.ready = False

    def once(self, attempt: int) -> UpsertManifest:
        """Plan on fresh metadata and commit; raises if someone else commits meanwhile."""
        if not self.ready:
            ensure_tables(self.catalog, self.object_file, self.environment, self.columns)
            self.ready = True
        lake = self._load()
        if self._recover(lake):
            lake = self._load()
            if lake.changes.head != lake.state.applied_changes_snapshot:
                raise Overtaken("the log has grown since the mirror applied it")
        found = self._writer(lake.state).find(lake)
        self.on_step("planned")
        self.tally.unchanged = found.unchanged
        head = self._append(lake, found)
        self._merge(lake, found, head)
        return self._manifest(LakeState.of(lake.mirror), attempt)

    def _writer(self, state: LakeState) -> Writer:
        """Who works, chosen once: by the object file, and by the mirror's rows as they were at the start."""
        if self.writer is None:
            if self.engine is None or not self.object_file.upsert.on_engine(state.rows, self.engine.name):
                self.writer = ByWorker(self.object_file, self.validation)
            else:
                log.info("%s: %d rows; %s does the upsert", self.tables.mirror, state.rows, self.engine.name)
                self.writer = ByEngine(
                    self.engine, self.catalog, self.object_file, self.environment, self.validation, self.on_step
                )
        return self.writer

    def _load(self) -> LoadedLake:
        """Mirror, log and register of erasures as they are now. What the mirror has applied is in the log after it."""
        mirror = self.catalog.load_table(self.tables.mirror)
        state = LakeState.of(mirror)
        refuse_foreign_org(state, org_id=self.plan.org_id, table=self.tables.mirror)
        changes = self._changes()
        # Last: an erasure that is recorded after this moves a property that both commits require to be unmoved.
        self.lake = LoadedLake(mirror=mirror, changes=changes, state=state, erased=self._erased())
        return self.lake

    def _erased(self) -> ErasedIds:
        return read_erased(
            self.catalog,
            self.environment.operations_namespace,
            object_name=self.object_file.object,
            org_id=self.plan.org_id,
        )

    def has_moved(self) -> bool:
        """Whether somebody has erased, logged or merged since the lake was loaded: what it was then may be gone."""
        seen = self.lake
        if seen is None:
            return False
        mirror = self.catalog.load_table(self.tables.mirror)
        return (
            self._erased().digests != seen.erased.digests
            or any(mirror.properties.get(name) != seen.mirror.properties.get(name) for name in STATE_PROPERTIES)
            or self._changes().head != seen.changes.head
        )

    def clear_away(self) -> None:
        """Remove what was written and not published. What cannot be removed is in nobody's way, and left to upkeep."""
        try:
            if self.writer is not None:
                self.writer.clear_away()
        except Exception as problem:  # noqa: BLE001 - what the upsert itself ended with counts
            log.warning("%s: what was not published could not be removed, and is left: %s", self.tables.mirror, problem)

    def files_are_there(self) -> bool:
        """Whether every staged file is still there."""
        return all(exists(uri) for uri in (*self.validation.files, *self.validation.present_files))

    def _recover(self, lake: LoadedLake) -> bool:
        """Apply what the log has and the mirror lacks; whether there was any."""
        recovered = self._writer(lake.state).apply_log(lake)
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

    def _append(self, lake: LoadedLake, found: Findings) -> int | None:
        """Commit the observations to the log; its snapshot afterwards."""
        if found.logged:
            head = found.append(self._may_still_delete if found.deleted else None)
            self.tally.logged += found.logged
            self.tally.deleted += found.deleted
            self.on_step("logged")
        else:
            head = lake.changes.head
        self.tally.judged_absence |= found.judged_absence
        return head

    def _merge(self, lake: LoadedLake, found: Findings, head: int | None) -> None:
        properties = self._properties(lake.state, found, head)
        if found.logged or any(lake.mirror.properties.get(name) != value for name, value in properties.items()):
            merged = found.merge(properties, lambda: self._log_is_still_at(head))
            self.tally.inserted += merged.inserted
            self.tally.updated += merged.updated
        self.on_step("merged")

    def _properties(self, state: LakeState, found: Findings, head: int | None) -> dict[str, str]:
        window = self.plan.window
        newest = later_of(state.newest_window_end, window.end) if found.logged else state.newest_window_end
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
