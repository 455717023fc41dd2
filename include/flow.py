"""The steps of a run up to the lake, one method a task: the operators call them, and so does whoever has no Airflow."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyiceberg.catalog import Catalog

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake import known_fields, run_log
from include.lake.erased import TABLE as ERASURES
from include.lake.erased import ErasedIds, read_erased
from include.lake.erasure import erase
from include.lake.erasure_report import ErasureReport
from include.lake.layout import refuse_unknown_layouts
from include.lake.names import RawTables
from include.lake.sql_engine import Engine
from include.lake.upsert import upsert
from include.lake.watermark import read_lake_state, refuse_foreign_org
from include.quality.quarantine import write_quarantine
from include.quality.quarantine_table import Origin
from include.quality.replay import replay_quarantine
from include.quality.validation import validate
from include.salesforce.bulk import Polling
from include.salesforce.client import SalesforceClient
from include.salesforce.describe import describe
from include.salesforce.extraction import extract
from include.salesforce.read_plan import make_read_plan
from include.salesforce.window import RunRequest, plan_window
from include.schema_watch import SCHEMA_PROBLEMS, SchemaWatch
from include.staging import store
from include.staging.forgetting import forget_rows
from include.staging.manifest import ExtractionManifest, ReadPlan, ReplayManifest, UpsertManifest, ValidationManifest
from include.staging.store import run_folder

log = logging.getLogger(__name__)

#: Folder of the staging store for the Bulk jobs on record. No object's table is called so.
JOBS = "_bulk_jobs"


class StagedFilesGone(RuntimeError):
    """What a step has just staged is not there any more. Another attempt writes it again."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The steps for one object in one environment.

    :param object_file: the object.
    :param environment: where to.
    :param catalog: the Iceberg catalog of that environment.
    :param engine: its SQL engine; None: there is none.
    """

    object_file: ObjectFile
    environment: Environment
    catalog: Catalog
    engine: Engine | None = None

    @property
    def tables(self) -> RawTables:
        """The object's tables."""
        return RawTables.of(self.object_file, self.environment)

    def check_source(
        self, client: SalesforceClient, request: RunRequest, *, run_id: str, bulk_from_rows: int | None = None
    ) -> ReadPlan:
        """Ask before reading: does the login work, is there quota, which fields are there, which window is due?

        :param client: the org.
        :param request: what the run asks for.
        :param run_id: Airflow's run id.
        :param bulk_from_rows: from this estimate on Bulk API 2.0 is used; default: the object file's.
        :raises LayoutTooNew: when another release has changed a table.
        :raises ForeignOrg: when the connection leads to another org than the lake's.
        :raises WindowRefused: when the run asks for what cannot be read.
        :raises IncompatibleColumn: when a field's type in the org no longer fits its column.
        :raises SalesforceProblem: any, see include/salesforce/errors.py.
        """
        client.clock()
        client.check_reserve("checking the source")
        tables = self.tables
        names = (known_fields.TABLE, run_log.TABLE, ERASURES)
        operations = (f"{self.environment.operations_namespace}.{name}" for name in names)
        refuse_unknown_layouts(
            self.catalog, (tables.mirror, tables.changes, tables.quarantine, tables.ledger, *operations)
        )
        state = read_lake_state(self.catalog, tables)
        refuse_foreign_org(state, org_id=client.org_id, table=self.object_file.table)
        window = plan_window(
            request,
            watermark=state.watermark,
            last_full_refresh=state.last_full_refresh,
            lake_is_empty=state.is_empty,
            lookback=self.object_file.lookback,
            full_refresh_every=self.object_file.full_refresh_every,
            now=client.now,
        )
        log.info("window [%s, %s): %s", window.start or "the beginning", window.end, window.reason)
        watch = SchemaWatch(
            catalog=self.catalog,
            environment=self.environment,
            object_file=self.object_file,
            description=describe(client, self.object_file.object),
            at=client.now,
        )
        drift = watch.warn(state, window)
        try:
            watch.refuse_unfit()
            plan = make_read_plan(
                client=client,
                object_file=self.object_file,
                run_id=run_id,
                window=window,
                bulk_from_rows=bulk_from_rows,
                description=watch.description,
                drift=drift,
            )
        except SCHEMA_PROBLEMS:
            # Told, though there is no plan: the next run need not tell it again.
            watch.remember()
            raise
        watch.remember()
        return plan

    def extract(
        self, client: SalesforceClient, plan: ReadPlan, *, polling: Polling | None = None
    ) -> ExtractionManifest:
        """Read the window into staged Parquet, and prove that the read was complete.

        :param client: the org.
        :param plan: of check_source.
        :param polling: how a Bulk job is waited for.
        :raises SalesforceProblem: any, see include/salesforce/errors.py.
        """
        erased, folder = self.erased(plan.org_id), self.staging_folder(plan.run_id, step="extract")
        manifest = extract(
            client=client,
            plan=plan,
            object_file=self.object_file,
            staging_folder=folder,
            jobs_folder=store.join(self.environment.staging_uri, JOBS, self.object_file.table),
            polling=polling,
            keep=erased.without if erased else None,
        )
        self._forget_since(erased, folder, manifest.files)
        return manifest

    def validate(self, extraction: ExtractionManifest) -> ValidationManifest:
        """Accept or quarantine every staged record.

        :param extraction: of extract.
        :raises TooManyRejects: when more were rejected than the object file allows; they are in quarantine then.
        """
        run_id, org_id = extraction.plan.run_id, extraction.plan.org_id
        erased, folder = self.erased(org_id), self.staging_folder(run_id, step="validate")
        result = validate(
            extraction=extraction,
            object_file=self.object_file,
            staging_folder=folder,
            keep=erased.without if erased else None,
        )
        write_quarantine(
            catalog=self.catalog,
            table_name=self.tables.quarantine,
            reject_files=result.reject_files,
            origin=Origin.of(extraction),
            quarantined_at=datetime.now(UTC),
            erased=lambda: self.erased(org_id),
        )
        self._forget_since(erased, folder, (*result.manifest.files, *result.manifest.present_files))
        return result.gate()

    def replay_quarantine(self) -> ReplayManifest:
        """Bring into the lake what the quarantine holds and the object file accepts by now; it asks no org.

        :raises LayoutTooNew: when another release has changed a table.
        :raises UpsertContended: when other writers were faster every time.
        """
        return replay_quarantine(
            catalog=self.catalog,
            object_file=self.object_file,
            environment=self.environment,
            replayed_at=datetime.now(UTC),
        )

    def upsert(self, validation: ValidationManifest) -> UpsertManifest:
        """Append what is new to the changes log, then bring the mirror and its watermark forward in one commit.

        :param validation: of validate.
        :raises SuspiciousRead: when a full refresh misses too many records.
        :raises IncompatibleColumn: when a field's type in the org no longer fits its column.
        :raises EngineFailed: when the SQL engine did not finish a statement.
        :raises UpsertContended: when other writers were faster every time.
        """
        manifest = upsert(self.catalog, self.object_file, self.environment, validation, engine=self.engine)
        log.info(
            "%s: %d observations logged (%d deletions), mirror +%d ~%d, %d rows; watermark %s",
            manifest.table,
            manifest.logged,
            manifest.deleted,
            manifest.inserted,
            manifest.updated,
            manifest.mirror_rows,
            manifest.watermark,
        )
        return manifest

    def erase(
        self,
        ids: Sequence[str],
        *,
        run_id: str,
        org_id: str | None = None,
        alone: bool = False,
        on_step: Callable[[str], None] | None = None,
    ) -> ErasureReport:
        """Remove people who must be forgotten from all that the object has in the lake, and keep them out.

        :param ids: Salesforce Ids of 15 or 18 characters.
        :param run_id: Airflow's run id, or what names the command.
        :param org_id: the org's id, for a lake that is still empty; default: the one that the lake remembers.
        :param alone: nobody else writes to the lake meanwhile.
        :param on_step: told of each place as it is done.
        :raises InvalidIds: if one of the Ids is none; nothing was touched.
        :raises HistoryHeld: if a branch or tag of a table holds old rows; nothing was touched.
        :raises UnknownOrg: when nobody knows which org the lake belongs to.
        :raises ErasureContended: when other writers were faster every time.
        """
        return erase(
            self.catalog,
            self.object_file,
            self.environment,
            ids,
            run_id=run_id,
            erased_at=datetime.now(UTC),
            org_id=org_id,
            alone=alone,
            on_step=on_step,
        )

    def erased(self, org_id: str) -> ErasedIds:
        """The records that must not come in.

        :param org_id: the org's 18-character id.
        """
        return read_erased(
            self.catalog,
            self.environment.operations_namespace,
            object_name=self.object_file.object,
            org_id=org_id,
        )

    def _forget_since(self, known: ErasedIds, folder: str, files: Sequence[str]) -> None:
        """Whoever was recorded as erased while a step wrote its files is taken out of them by the step itself.

        The erasure may have looked before the files were there. One that it met half written is gone.
        """
        now = self.erased(known.org_id)
        if now.digests != known.digests:
            forget_rows(folder, lambda batch: now.among(batch.column("id")))
        if gone := [uri for uri in files if not store.exists(uri)]:
            raise StagedFilesGone(
                f"{self.object_file.table}: {len(gone)} of {len(files)} staged files are gone, for example {gone[0]}: "
                "an erasure met them half written. The task's next attempt writes them again; clear the task if it has "
                "no attempt left."
            )

    def staging_folder(self, run_id: str, *, step: str) -> str:
        """Where a run stages the files of one of its steps.

        :param run_id: Airflow's run id.
        :param step: the task's name.
        """
        return run_folder(
            staging_uri=self.environment.staging_uri, table=self.object_file.table, run_id=run_id, step=step
        )
