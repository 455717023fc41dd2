"""The upsert by an SQL engine, for tables that one worker is too small for: it holds some thousand rows at a time.

What costs is three statements on the engine: which accepted records say something new (INSERT into a draft of the log),
the MERGE into a draft of the mirror and, on a full refresh, what is gone. Each draft is published by one commit of the
same kind as the worker's own, with the same requirements. So whatever runs beside it, an upsert of either kind, an
erasure, upkeep, is met as it always was.

The hash of a record is computed here, as for every other upsert: accepted records pass through the worker once, on
their way into Parquet that the engine reads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.absence import EXAMPLES, check_volume, is_suspicious
from include.lake.accepted import RepeatedIds
from include.lake.copy_on_write import Merged
from include.lake.draft import Draft, Written
from include.lake.engine_statements import ACCEPTED, HASH, Batch, Register, Statements
from include.lake.erased import TABLE as ERASURES
from include.lake.gone import deletions_of
from include.lake.incoming import Incoming
from include.lake.log_span import Span
from include.lake.mirror import Recovered
from include.lake.names import RawTables
from include.lake.observations import as_utc, may_delete
from include.lake.one_commit import commit_once
from include.lake.scratch import Scratch
from include.lake.short_lived import drop_leftovers
from include.lake.sql_engine import Engine
from include.lake.tables import ICEBERG_TYPES, arrow_schema
from include.lake.watermark import (
    APPLIED_CHANGES_SNAPSHOT,
    ERASURE,
    NEWEST_WINDOW_END,
    ROWS,
    STATE_PROPERTIES,
    later_of,
    written,
)
from include.lake.writers import LoadedLake
from include.staging.manifest import ValidationManifest
from include.staging.store import run_folder

log = logging.getLogger(__name__)

_RUN_ID = "sf-history.run-id"


class ByEngine:
    """One upsert by an engine.

    :param engine: who runs the statements.
    :param catalog: the Iceberg catalog.
    :param object_file: the object.
    :param environment: names tables and the staging store.
    :param validation: what was accepted.
    :param on_step: told when a MERGE is done and not published.
    """

    def __init__(  # noqa: PLR0917
        self,
        engine: Engine,
        catalog: Catalog,
        object_file: ObjectFile,
        environment: Environment,
        validation: ValidationManifest,
        on_step: Callable[[Literal["drafted"]], None],
    ) -> None:
        self.engine, self.catalog, self.on_step = engine, catalog, on_step
        self.object_file, self.environment, self.validation = object_file, environment, validation
        self.tables = RawTables.of(object_file, environment)
        self.plan = validation.extraction.plan
        self.batch = Batch(
            run_id=self.plan.run_id,
            extracted_at=as_utc(validation.extraction.extracted_at),
            window_end=self.plan.window.end.astimezone(UTC),
            observed=self.plan.observed_columns,
            cursor=self.plan.cursor.lower(),
        )
        self.drafts: list[Draft] = []
        for table in (self.tables.mirror, self.tables.changes):
            drop_leftovers(catalog, table, now=datetime.now(UTC))

    def apply_log(self, lake: LoadedLake) -> Recovered | None:
        """See `Writer`."""
        head = lake.changes.head
        if head is None or head == lake.state.applied_changes_snapshot:
            return None
        since = self._since(lake)
        statements = self._statements(lake)
        ((inserted, updated, others),) = self._ask(statements.lacking(since), "what the mirror lacks")
        newest = later_of(lake.state.newest_window_end, since.newest_end)
        properties = {
            APPLIED_CHANGES_SNAPSHOT: str(head),
            **({NEWEST_WINDOW_END: written(newest)} if newest else {}),
        }
        if inserted or updated or others:
            self._merge(lake, properties, last_look=None)
            log.info("%s: applied what the log had and the mirror lacked", self.tables.mirror)
        else:
            commit_once(lake.mirror, properties=properties, unmoved=STATE_PROPERTIES)
        return Recovered(own_inserted=inserted, own_updated=updated, others=others)

    def find(self, lake: LoadedLake) -> Found:
        """See `Writer`."""
        statements = self._statements(lake)
        folder = run_folder(
            staging_uri=self.environment.staging_uri,
            table=self.object_file.table,
            run_id=self.plan.run_id,
            step="upsert",
        )
        types = {field.name: field.field_type for field in lake.changes.table.schema().fields}
        columns = [name for name in self.object_file.columns if name in types]
        with Scratch(self.catalog, self.tables.mirror, folder) as scratch:
            accepted = Incoming(
                validation=self.validation,
                columns=self.object_file.columns,
                schema=pa.schema([arrow_schema(lake.changes.table).field(name) for name in columns]),
                batch=self.batch,
                erased=lake.erased,
            )
            incoming = scratch.table(
                "incoming",
                [*((name, types[name]) for name in columns), (HASH, types[HASH]), (ACCEPTED, ICEBERG_TYPES["boolean"])],
                accepted.rows(),
            )
            name = _name(incoming)
            judged = may_delete(lake.state, self.plan.window, self.object_file)
            if accepted.count and (repeated := self._ask(statements.repeated(name), "Ids that are there twice")):
                raise RepeatedIds.found(self.object_file.table, [str(row[0]) for row in repeated])
            deletions = self._deletions(lake, statements, scratch, name) if judged else None
            if not accepted.within and not deletions:
                return Found(writer=self, lake=lake, new=None, judged_absence=judged)
            draft = self._draft(lake.changes.table)
            statement = statements.log(
                draft=draft.identifier,
                incoming=name,
                columns=columns,
                deletions=_name(deletions[0]) if deletions else None,
            )
            self._ask(statement, "what is new")
            new = draft.finished()
        deleted = deletions[1] if deletions else 0
        return Found(
            writer=self,
            lake=lake,
            new=new,
            logged=new.added,
            deleted=deleted,
            unchanged=accepted.within - (new.added - deleted),
            judged_absence=judged,
        )

    def clear_away(self) -> None:
        """See `Writer`. What was published is not touched."""
        while self.drafts:
            self.drafts.pop().discard()

    # ------------------------------------------------------------------ what is gone

    def _deletions(
        self, lake: LoadedLake, statements: Statements, scratch: Scratch, incoming: str
    ) -> tuple[Table, int] | None:
        """Observations that records are gone, as a table in the log's columns, and how many; None if none is."""
        if lake.mirror.current_snapshot() is None:
            return None
        register = None
        if lake.erased:
            register = Register(
                table=f"{self.environment.operations_namespace}.{ERASURES}",
                object_name=self.object_file.object,
                org_id=self.plan.org_id,
            )
        ((live, count),) = self._ask(statements.absence(incoming, register), "how many are gone")
        if not count:
            return None
        if is_suspicious(count, live, self.object_file):
            examples = self._ask(statements.gone(incoming, register, EXAMPLES), "who is gone")
            check_volume(
                gone=[row[0] for row in examples],
                count=count,
                live=live,
                object_file=self.object_file,
                table=self.tables.mirror,
            )
        fields = [(field.name, field.field_type) for field in lake.mirror.schema().fields]
        gone = scratch.table("gone", [*fields, ("_observed_columns", ICEBERG_TYPES["string"])])
        self._ask(
            statements.keep_gone(
                into=_name(gone), columns=[name for name, _ in fields], incoming=incoming, register=register
            ),
            "their last rows",
        )
        gone = gone.refresh()
        schema = lake.changes.table.schema()
        rows = sum(file.file.record_count for file in gone.scan().plan_files())
        made = scratch.table(
            "deletions",
            [(field.name, field.field_type) for field in schema.fields],
            deletions_of(gone, schema=arrow_schema(lake.changes.table), batch=self.batch, object_file=self.object_file),
        )
        return (made, rows) if rows else None

    # ------------------------------------------------------------------ the engine

    def _merge(
        self,
        lake: LoadedLake,
        properties: Mapping[str, str],
        last_look: Callable[[], None] | None,
    ) -> Merged:
        """One MERGE of what was logged since the mirror applied the log."""
        draft = self._draft(lake.mirror)
        names = list(lake.mirror.schema().column_names)
        merge = self._statements(lake).merge(draft=draft.identifier, columns=names, since=self._since(lake))
        self._ask(merge, "the mirror")
        result = draft.finished()
        self.on_step("drafted")
        inserted = result.added - result.replaced
        if result.snapshot is None:
            if last_look is not None:
                last_look()
            commit_once(lake.mirror, properties=properties, unmoved=STATE_PROPERTIES)
            return Merged(inserted=0, updated=0, snapshot_id=None)
        self.drafts.remove(draft)
        snapshot_id = result.publish(
            properties=properties,
            unmoved=STATE_PROPERTIES,
            snapshot_properties={_RUN_ID: self.plan.run_id, ROWS: str(lake.state.rows + inserted)},
            last_look=last_look,
        )
        return Merged(inserted=inserted, updated=result.replaced, snapshot_id=snapshot_id)

    def _since(self, lake: LoadedLake) -> Span:
        """Bounds of what the log has and the mirror lacks."""
        return Span.of(lake.changes.table, lake.changes.files_since(lake.state.applied_changes_snapshot))

    def _statements(self, lake: LoadedLake) -> Statements:
        newest = lake.state.newest_window_end
        return Statements(
            mirror=self.tables.mirror,
            changes=self.tables.changes,
            batch=self.batch,
            newest=newest is None or self.batch.window_end > newest,
        )

    def _draft(self, table: Table) -> Draft:
        draft = Draft.of(self.catalog, table)
        self.drafts.append(draft)
        return draft

    def _ask(self, statement: str, what: str) -> Sequence[Sequence[Any]]:
        return self.engine.execute(
            statement, namespace=self.environment.raw_namespace, about=f"{self.tables.mirror}, {what}"
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a run has to add: a draft of the log that is not published yet. See `Findings`."""

    writer: ByEngine
    lake: LoadedLake
    new: Written | None
    judged_absence: bool
    logged: int = 0
    deleted: int = 0
    unchanged: int = 0

    def append(self, last_look: Callable[[], None] | None) -> int | None:
        """See `Findings`."""
        assert self.new is not None  # noqa: S101 - asked for only if there is something to log
        self.writer.drafts.remove(self.new.draft)
        return self.new.publish(
            unmoved=(ERASURE,),
            snapshot_properties={_RUN_ID: self.writer.plan.run_id},
            last_look=last_look,
        )

    def merge(self, properties: Mapping[str, str], last_look: Callable[[], None]) -> Merged:
        """See `Findings`."""
        if self.logged:
            # The loaded log has its new snapshot since the append.
            return self.writer._merge(self.lake, properties, last_look)
        last_look()
        commit_once(self.lake.mirror, properties=properties, unmoved=STATE_PROPERTIES)
        return Merged(inserted=0, updated=0, snapshot_id=None)


def _name(table: Table) -> str:
    return ".".join(table.name())
