"""The upkeep of one table, on pyiceberg: compact it, expire its old snapshots, remove its orphans.

Each step is complete in itself and can be done again, so a run that was killed is made good by the next one. Whoever
commits meanwhile wins: what was planned is thrown away, and planned again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError

from include.config.environment import Environment
from include.lake.conflicts import again, is_conflict
from include.lake.short_lived import drop_leftovers
from include.upkeep.compaction import Compacted, compact, plan_compaction
from include.upkeep.history import Outdated, expire, outdated
from include.upkeep.measure import StoredSize, measure
from include.upkeep.orphans import locations, remove_orphans
from include.upkeep.tables import KeptTable, load_if_there

log = logging.getLogger(__name__)

#: Steps at which an upkeep can be looked at (and, in tests, interrupted).
Step = Literal["compacted", "expired", "deleted", "orphans"]

#: A compaction that was planned so often in vain is left to Airflow's retry, or to next week.
_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class UpkeepReport:
    """What the upkeep of a table did.

    :param table: `namespace.table`.
    :param object: API name of the object; empty for the operations tables.
    :param place: what it is to the object, or its name among the operations tables.
    :param engine: what did it: pyiceberg, athena or trino.
    :param dry_run: nothing was touched: the numbers of what was done say what would be.
    :param started_at: when (UTC).
    :param files_compacted: files that were rewritten.
    :param snapshots_expired: snapshots that were expired.
    :param files_deleted: files that only expired snapshots had referred to.
    :param orphans_deleted: files that nobody had referred to.
    :param before: the table before.
    :param after: the table after.
    """

    table: str
    object: str
    place: str
    engine: str = "pyiceberg"
    dry_run: bool = False
    started_at: datetime
    files_compacted: int | None = None
    snapshots_expired: int | None = None
    files_deleted: int | None = None
    orphans_deleted: int | None = None
    before: StoredSize
    after: StoredSize

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON, for XCom."""
        return {**asdict(self), "started_at": self.started_at.isoformat()}


def keep_up(
    catalog: Catalog,
    kept: KeptTable,
    environment: Environment,
    *,
    now: datetime,
    dry_run: bool = False,
    on_step: Callable[[Step], None] | None = None,
) -> UpkeepReport | None:
    """Look after one table. Doing it again changes nothing more.

    :param catalog: the Iceberg catalog.
    :param kept: the table.
    :param environment: names the namespaces in which other tables may be.
    :param now: the time.
    :param dry_run: look only.
    :param on_step: told of each step as it is done.
    :return: None where the table is not there.
    :raises CommitFailedException: when other writers were faster every time; do it again later.
    """
    if (table := load_if_there(catalog, kept.identifier)) is None:
        return None
    step = on_step or _unwatched
    before = measure(table)
    if dry_run:
        return _foreseen(catalog, kept, environment, before, now)
    drop_leftovers(catalog, kept.identifier, now=now)
    compacted = _compacted(catalog, kept)
    step("compacted")
    expired = _expired(catalog, kept, now, lambda: step("expired"))
    step("deleted")
    orphans = _orphans(catalog, kept, environment, now)
    step("orphans")
    report = UpkeepReport(
        table=kept.identifier,
        object=kept.object,
        place=kept.place,
        started_at=now,
        files_compacted=compacted.files,
        snapshots_expired=expired.snapshots,
        files_deleted=expired.files,
        orphans_deleted=orphans,
        before=before,
        after=measure(catalog.load_table(kept.identifier)),
    )
    tell(report)
    return report


def tell(report: UpkeepReport) -> None:
    """Log what an upkeep did, before and after.

    :param report: of the upkeep.
    """
    after = report.after.numbers()
    log.info(
        "%s: %s",
        report.table,
        ", ".join(f"{name} {count:,} → {after[name]:,}" for name, count in report.before.numbers().items()),
    )


def _unwatched(_: Step) -> None:
    """Nobody looks on."""


def _overtaken(problem: BaseException) -> bool:
    # What was there at loading may be gone: an erasure, which waits for nobody, expires all history.
    return is_conflict(problem) or isinstance(problem, FileNotFoundError)


_again = again(_overtaken, attempts=_ATTEMPTS)


@_again
def _compacted(catalog: Catalog, kept: KeptTable) -> Compacted:
    table = catalog.load_table(kept.identifier)
    return compact(table, from_files=kept.keep.compact_from_files, file_bytes=kept.file_bytes)


@_again
def _expired(catalog: Catalog, kept: KeptTable, now: datetime, on_commit: Callable[[], None]) -> Outdated:
    # What is remembered first: it only moves on to snapshots that are newer than the table as it is loaded here.
    held = kept.held(catalog)
    return expire(catalog.load_table(kept.identifier), kept.keep, now=now, held=held, on_commit=on_commit)


@_again
def _orphans(
    catalog: Catalog, kept: KeptTable, environment: Environment, now: datetime, *, dry_run: bool = False
) -> int:
    table = catalog.load_table(kept.identifier)
    return remove_orphans(
        table,
        older_than=kept.orphans_after,
        now=now,
        neighbours=_neighbours(catalog, kept.identifier, environment),
        dry_run=dry_run,
    )


def _neighbours(catalog: Catalog, identifier: str, environment: Environment) -> list[str]:
    namespaces = {environment.raw_namespace, environment.curated_namespace, environment.operations_namespace}
    try:
        found: Mapping[str, str] = locations(catalog, sorted(namespaces))
    except NoSuchTableError:  # dropped while they were listed
        found = locations(catalog, sorted(namespaces))
    return [location for name, location in found.items() if name != identifier]


def _foreseen(
    catalog: Catalog, kept: KeptTable, environment: Environment, before: StoredSize, now: datetime
) -> UpkeepReport:
    table = catalog.load_table(kept.identifier)
    plan = plan_compaction(table, from_files=kept.keep.compact_from_files, file_bytes=kept.file_bytes)
    return UpkeepReport(
        table=kept.identifier,
        object=kept.object,
        place=kept.place,
        dry_run=True,
        started_at=now,
        files_compacted=plan.files,
        snapshots_expired=len(outdated(table, kept.keep, now=now, held=kept.held(catalog))),
        orphans_deleted=_orphans(catalog, kept, environment, now, dry_run=True),
        before=before,
        after=before,
    )
