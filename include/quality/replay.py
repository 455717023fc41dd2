"""Replaying the quarantine: what the present rules accept goes into the lake, at the place it would have had.

It goes the way of every record: through the upsert, batch by batch, under its own run, attempt and window. So the log
orders it as if it had been accepted at once, a second replay finds it there, and the history that dbt makes of the log
is the same. Rows are marked last: a crash before that makes the next replay find the observations, and only mark.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from pyiceberg.catalog import Catalog

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.conflicts import again_if_gone
from include.lake.names import RawTables
from include.lake.upsert import upsert
from include.quality.quarantine import mark_replayed
from include.quality.quarantine_table import Origin, find_quarantine, fingerprints
from include.quality.rejudge import Accepted, Rejudgement
from include.salesforce.convert import schema_of
from include.staging import store
from include.staging.lifetime import LONGEST_RUN
from include.staging.manifest import (
    ExtractionManifest,
    ExtractionStats,
    ReadPlan,
    ReplayManifest,
    UpsertManifest,
    ValidationManifest,
)

log = logging.getLogger(__name__)

#: What names of folders of replays begin with.
_FOLDER = "replay-"


def replay_quarantine(
    *, catalog: Catalog, object_file: ObjectFile, environment: Environment, replayed_at: datetime
) -> ReplayManifest:
    """Bring into the lake what the quarantine holds and the present rules accept. Doing so again changes nothing.

    :param catalog: the Iceberg catalog.
    :param object_file: the rules.
    :param environment: names the tables and the staging store.
    :param replayed_at: time to note, UTC.
    :raises LayoutTooNew: when a later release has changed a table.
    :raises UpsertContended: when other writers were faster every time.
    """
    tables = RawTables.of(object_file, environment)
    if find_quarantine(catalog, tables.quarantine) is None:
        return ReplayManifest(table=tables.quarantine)
    _remove_left_over(store.join(environment.staging_uri, object_file.table), replayed_at)
    staged, done = _bring_in(catalog, object_file, environment)
    marked = mark_replayed(catalog=catalog, table_name=tables.quarantine, marked=staged.marked, replayed_at=replayed_at)
    return _told(tables.quarantine, staged, done, marked)


@again_if_gone
def _bring_in(
    catalog: Catalog, object_file: ObjectFile, environment: Environment
) -> tuple[_Staged, list[UpsertManifest]]:
    tables = RawTables.of(object_file, environment)
    quarantine = catalog.load_table(tables.quarantine)
    # A folder of its own: two replays at once must not remove each other's files.
    folder = store.join(environment.staging_uri, object_file.table, f"{_FOLDER}{uuid.uuid4().hex}")
    staged = _Staged(folder=folder, object_file=object_file)
    try:
        judged = Rejudgement(quarantine=quarantine, catalog=catalog, tables=tables, object_file=object_file)
        for part in judged.parts():
            staged.refused += sum(verdict.outcome == "refused" for verdict in part.verdicts)
            staged.unplaceable += sum(verdict.outcome == "unplaceable" for verdict in part.verdicts)
            for accepted in part.accepted:
                staged.add(accepted)
                staged.marked.update(fingerprints(part.rows.take(list(accepted.numbers))))
        return staged, [upsert(catalog, object_file, environment, batch) for batch in staged.batches()]
    finally:
        store.remove(folder)


def _remove_left_over(folder: str, now: datetime) -> None:
    """A replay that was killed leaves its folder, with records in it. One that is still going on is younger."""
    for name in store.find_folders(folder, _FOLDER, before=now - LONGEST_RUN):
        log.info("%s was left by a replay that was killed; removed", name)
        store.remove(name)


@dataclass(kw_only=True)
class _Staged:
    """What is to be replayed: files by batch."""

    folder: str
    object_file: ObjectFile
    refused: int = 0
    unplaceable: int = 0
    marked: set[bytes] = field(default_factory=set)
    _plans: dict[Origin, ReadPlan] = field(default_factory=dict)
    _files: dict[Origin, list[str]] = field(default_factory=lambda: defaultdict(list))
    _rows: dict[Origin, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, accepted: Accepted) -> None:
        """Stage records of a batch."""
        origin = accepted.origin
        self._plans[origin] = accepted.plan
        part = f"{sum(map(len, self._files.values())):06d}"
        self._files[origin] += store.write_parquet(
            store.join(self.folder, part), [accepted.records], schema_of(accepted.plan, self.object_file), "accepted"
        )
        self._rows[origin] += accepted.records.num_rows

    def batches(self) -> list[ValidationManifest]:
        """What validate would have handed over, in the order of the log."""
        order = sorted(self._plans, key=lambda origin: (origin.window_end, origin.extracted_at, origin.run_id))
        return [self._manifest(origin) for origin in order]

    def _manifest(self, origin: Origin) -> ValidationManifest:
        rows = self._rows[origin]
        stats = ExtractionStats.of_staged(rows)
        extraction = ExtractionManifest(
            plan=self._plans[origin], extracted_at=origin.extracted_at, files=(), stats=stats
        )
        return ValidationManifest(
            extraction=extraction,
            files=tuple(self._files[origin]),
            present_files=(),
            accepted=rows,
            rejected=0,
            superseded=0,
            reasons={},
            warnings=(),
        )


def _told(table: str, staged: _Staged, done: list[UpsertManifest], marked: int) -> ReplayManifest:
    manifest = ReplayManifest(
        table=table,
        replayed=marked,
        batches=len(done),
        logged=sum(one.logged for one in done),
        inserted=sum(one.inserted for one in done),
        updated=sum(one.updated for one in done),
        refused=staged.refused,
        unplaceable=staged.unplaceable,
    )
    log.info(
        "%s: %s replayed out of %s run(s), %s observations logged; %s still refused, %s cannot be replayed",
        table,
        *(f"{count:,}" for count in (marked, len(done), manifest.logged, staged.refused, staged.unplaceable)),
    )
    return manifest
