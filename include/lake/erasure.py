"""Erasure: a person who must be forgotten is removed from every table and staged file of an object, for good.

It is recorded first. From then on every step that writes leaves the record out, and whoever has planned before plans
again: the property `sf-history.erasure` of log, mirror and quarantine moves with each erasure, and their commits
require that it has not. So an erasure wins beside a load, whatever the interleaving.

Every step can be done again. What a crash has left is made good by asking once more.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.data_changes import changes_no_row, last_change
from include.lake.erased import canonical_ids, id_digest, record_progress, record_request, unfinished
from include.lake.erasure_report import ErasureReport, UnknownOrg
from include.lake.expiry import Expired, expire_history, refuse_held_history, written_at
from include.lake.insistence import insist
from include.lake.names import RawTables
from include.lake.row_removal import REMOVAL, Removal, Wanted, remove_rows
from include.lake.turn import who_has_the_turn
from include.lake.watermark import (
    APPLIED_CHANGES_SNAPSHOT,
    ERASURE,
    STATE_PROPERTIES,
    LakeState,
    read_lake_state,
    refuse_foreign_org,
)
from include.staging.forgetting import forget_rows
from include.staging.store import join

log = logging.getLogger(__name__)

_T = TypeVar("_T")
#: Columns of rejects that may name an Id.
_TEXTS = ("record", "reasons")
#: Files of dbt's engine that nobody refers to may be of a statement under way, unless they are older than this.
_LONGEST_STATEMENT = timedelta(days=1)


def erase(
    catalog: Catalog,
    object_file: ObjectFile,
    environment: Environment,
    ids: Iterable[str],
    *,
    run_id: str,
    erased_at: datetime,
    org_id: str | None = None,
    alone: bool = False,
    attempts: int = 10,
    on_step: Callable[[str], None] | None = None,
) -> ErasureReport:
    """Remove records from the lake, and see to it that they never come back. Doing it again changes nothing.

    :param catalog: the Iceberg catalog.
    :param object_file: the object.
    :param environment: names tables and staging store.
    :param ids: Salesforce Ids of 15 or 18 characters.
    :param run_id: of the run or command that asks.
    :param erased_at: when (UTC).
    :param org_id: the org's 18-character id; default: the one that the lake remembers.
    :param alone: nobody else writes to the lake meanwhile, so that files which nobody refers to are nobody's.
    :param attempts: how often a table is tried when other writers commit in between.
    :param on_step: told of each place as it is done.
    :raises InvalidIds: if one of the Ids is none; nothing was touched.
    :raises HistoryHeld: if a branch or tag holds old rows; nothing was touched.
    :raises ForeignOrg: when the lake belongs to another org.
    :raises UnknownOrg: when the lake is empty and no org was given.
    :raises ErasureContended: when every attempt met another writer's commit.
    """
    wanted = Wanted(canonical_ids(ids))
    tables = RawTables.of(object_file, environment)
    state = read_lake_state(catalog, tables)
    org_id = org_id or state.org_id
    if org_id is None:
        raise UnknownOrg(
            f"{tables.mirror} is empty, so nobody knows which org it belongs to, and Ids say little without their org. "
            f"Nothing was touched. Give the org's id, or let {object_file.dag_id} run once, and ask again."
        )
    refuse_foreign_org(state, org_id=org_id, table=tables.mirror)
    work = _Erasure(catalog, object_file, environment, wanted, org_id, alone, attempts, on_step or _unwatched)
    return work.run(run_id, erased_at)


def _unwatched(_: str) -> None:
    """Nobody looks on."""


class _Erasure:
    def __init__(  # noqa: PLR0917
        self,
        catalog: Catalog,
        object_file: ObjectFile,
        environment: Environment,
        wanted: Wanted,
        org_id: str,
        alone: bool,
        attempts: int,
        on_step: Callable[[str], None],
    ) -> None:
        self.catalog, self.object_file, self.environment = catalog, object_file, environment
        self.wanted, self.alone, self.attempts, self.on_step = wanted, alone, attempts, on_step
        self.digest_of = {identity: id_digest(org_id, identity) for identity in wanted.ids}
        self.tables = RawTables.of(object_file, environment)
        self.report = ErasureReport(object=object_file.object, digests=tuple(self.digest_of.values()))
        self.fence = {ERASURE: uuid.uuid4().hex}
        self.fenced_at: dict[str, datetime | None] = {}

    def run(self, run_id: str, erased_at: datetime) -> ErasureReport:
        """Everything, in the order in which nothing can slip through."""
        tables = self.tables
        for name in self._places().values():
            if table := self._load(name):
                refuse_held_history(table)
        self._record(run_id, erased_at)
        self.on_step("recorded")
        self._note("staged", "staged files", self._staged())
        self.on_step("staged")
        self._remove("changes", tables.changes, lambda table: self._raw(table, properties=self.fence))
        self.on_step("changes")
        self._remove("mirror", tables.mirror, self._mirror)
        self.on_step("mirror")
        self._remove(
            "quarantine",
            tables.quarantine,
            lambda table: self._raw(table, texts=_TEXTS, properties=self.fence),
        )
        self.on_step("quarantine")
        for place, name in self._published().items():
            self._remove(place, name, self._curated)
            self.on_step(place)
        for place, name in self._places().items():
            self._expire(place, name)
            self.on_step(f"expired {place}")
        self._look_again(run_id)
        if self.report.held_up:
            log.warning("%s", self.report.held_up)
        else:
            self._progress({}, completed=self.report.digests, completed_at=erased_at)
            self.on_step("completed")
        return self.report

    def _look_again(self, run_id: str) -> None:
        """Remove what a run has published since that had read the log before.

        The turn is asked for first. Whoever had it before has published by then; whoever takes it later reads a log
        without the erased.
        """
        holder = None if self.alone else who_has_the_turn(self.catalog, self.tables)
        self.report.held_up_by = holder if holder != run_id else None
        for place, name in self._published().items():
            if self._remove(place, name, self._curated):
                self._expire(place, name)
        self.on_step("looked again")

    def _places(self) -> dict[str, str]:
        names = ("changes", "mirror", "quarantine")
        return {name: getattr(self.tables, name) for name in names} | self._published()

    def _published(self) -> dict[str, str]:
        return {"dimension": self.tables.dimension, "snapshot": self.tables.snapshot}

    def _record(self, run_id: str, erased_at: datetime) -> None:
        namespace, asked = self.environment.operations_namespace, self.report.digests
        begun = unfinished(self.catalog, namespace, object_name=self.object_file.object)
        fresh = record_request(
            self.catalog,
            namespace,
            object_name=self.object_file.object,
            digests=asked,
            run_id=run_id,
            requested_at=erased_at,
        )
        self.report.unfinished = begun.intersection(asked)
        self.report.repeated = frozenset(asked) - fresh - begun
        if self.report.unfinished:
            log.warning(
                "%s: %d erasure(s) had been begun and not finished; they are finished now",
                self.object_file.object,
                len(self.report.unfinished),
            )

    def _staged(self) -> Counter[str]:
        folder = join(self.environment.staging_uri, self.object_file.table)
        rows: Counter[str] = Counter()
        for removed in forget_rows(folder, lambda batch: self.wanted.chosen(batch, "id", _texts(batch.schema))):
            rows += self.wanted.counted(pa.Table.from_batches([removed]), "id", _texts(removed.schema))
        return rows

    def _raw(self, table: Table, *, texts: tuple[str, ...] = (), properties: dict[str, str]) -> Removal:
        return remove_rows(
            table, self.wanted, column="id", texts=texts, properties=properties, unmoved=tuple(properties)
        )

    def _mirror(self, table: Table) -> Removal:
        properties = dict(self.fence)
        changes = self._load(self.tables.changes)
        applied = LakeState.of(table).applied_changes_snapshot
        if changes is not None and applied is not None and (head := _removals_since(changes, applied)):
            properties[APPLIED_CHANGES_SNAPSHOT] = str(head)
        return remove_rows(table, self.wanted, column="id", properties=properties, unmoved=STATE_PROPERTIES)

    def _curated(self, table: Table) -> Removal:
        return remove_rows(table, self.wanted, column=self.object_file.dimension_column("Id"), everywhere=True)

    def _remove(self, place: str, name: str, remove: Callable[[Table], Removal]) -> bool:
        """Whether the table has a history now."""

        history = False

        def once() -> Removal | None:
            nonlocal history
            table = self._load(name)
            if table is None:
                return None
            removal = remove(table)
            history = len(table.snapshots()) > 1
            if place in ("changes", "mirror", "quarantine"):
                self.fenced_at[place] = written_at(table)
            return removal

        removal = self._insist(name, once)
        if removal is not None:
            log.info("%s: %d rows removed, %d files written anew", name, removal.rows.total(), removal.files)
            self._note(place, name, removal.rows)
        return history

    def _expire(self, place: str, name: str) -> None:
        def once() -> Expired | None:
            table = self._load(name)
            return None if table is None else expire_history(table, unreferenced_before=before)

        before = self.fenced_at.get(place)
        if before is None:
            now = datetime.now(UTC)
            before = now if self.alone else now - _LONGEST_STATEMENT
        expired = self._insist(name, once)
        if expired is not None:
            log.info("%s: %d old snapshots expired, %d files deleted", name, expired.snapshots, expired.files)
            before_this = self.report.expired.get(name, Expired(snapshots=0, files=0))
            self.report.expired[name] = Expired(
                snapshots=before_this.snapshots + expired.snapshots, files=before_this.files + expired.files
            )

    def _note(self, place: str, name: str, rows: Counter[str]) -> None:
        counts = Counter({self.digest_of[identity]: count for identity, count in rows.items()})
        self.report.removed[name] = self.report.removed.get(name, Counter()) + counts
        if counts:
            self._progress({place: counts})

    def _progress(
        self, removed: dict[str, Counter[str]], *, completed: Iterable[str] = (), completed_at: datetime | None = None
    ) -> None:
        record_progress(
            self.catalog,
            self.environment.operations_namespace,
            object_name=self.object_file.object,
            removed=removed,
            completed=completed,
            completed_at=completed_at,
        )

    def _load(self, name: str) -> Table | None:
        try:
            return self.catalog.load_table(name)
        except (NoSuchTableError, NoSuchNamespaceError):
            return None

    def _insist(self, name: str, act: Callable[[], _T]) -> _T:
        return insist(act, table=name, attempts=self.attempts, dag_id=self.object_file.dag_id)


def _texts(schema: pa.Schema) -> list[str]:
    return [name for name in _TEXTS if name in schema.names]


def _removals_since(changes: Table, applied: int) -> int | None:
    """The log's head, if nothing but erasures and upkeep came after a snapshot; None if it is that, or others wrote."""
    found = changes.current_snapshot()
    while found is not None and found.snapshot_id != applied:
        if not (changes_no_row(found) or (found.summary and found.summary[REMOVAL])):
            return None
        found = changes.snapshot_by_id(found.parent_snapshot_id) if found.parent_snapshot_id else None
    head = last_change(changes) if found else applied
    return head if head != applied else None
