"""Manifests: what one task tells the next. URIs, counts and the window; never rows, never secrets.

Every manifest is a frozen pydantic model that crosses XCom as plain JSON (`model_dump(mode="json")`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

RunKind = Literal["scheduled", "manual", "backfill"]
Api = Literal["rest", "bulk"]


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(_Manifest):
    """The half-open span of cursors that a run is about, and how it reads them.

    :param start: lower bound, inclusive; None: from the beginning (a full refresh has none).
    :param end: upper bound, exclusive. Rows at or after it are the next window's.
    :param kind: what kind of run asked.
    :param full_refresh: everything is read, and absence can prove a deletion.
    :param reason: why this window, in words, for the log.
    """

    start: AwareDatetime | None
    end: AwareDatetime
    kind: RunKind
    full_refresh: bool
    reason: str


class FieldPlan(_Manifest):
    """One field that is read.

    :param name: API name, as the org spells it.
    :param column: its column in the raw tables.
    :param salesforce_type: type in the org's describe.
    :param column_type: how it is kept: one of `COLUMN_TYPES` in include/staging/columns.py.
    """

    name: str
    column: str
    salesforce_type: str
    column_type: str


class ReadPlan(_Manifest):
    """What check_source decided: describe × object file, and how to read.

    :param noun: the object file's noun, `user`.
    :param object: API name, `User`.
    :param org_id: 18-character id of the org that was asked.
    :param run_id: Airflow's run id.
    :param window: see Window.
    :param fields: what to select, in order.
    :param absent: fields of the object file that the org does not show, and that may be missing.
    :param drift: sentences about what has changed in the org's schema since the run before, each told once.
    :param has_is_deleted: the object has IsDeleted and is read with queryAll.
    :param cursor: API name of the cursor field.
    :param created: API name of CreatedDate where the org can filter by it: bounds a full refresh; None: unbounded.
    :param replicateable: the object has getUpdated, which tells up to when nothing is pending.
    :param api: REST or Bulk 2.0.
    :param estimated_rows: Salesforce's own count for the window at planning.
    :param planned_at: the org's clock when the plan was made.
    """

    noun: str
    object: str
    org_id: str
    run_id: str
    window: Window
    fields: tuple[FieldPlan, ...]
    absent: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()
    has_is_deleted: bool
    cursor: str
    created: str | None = None
    replicateable: bool = False
    api: Api
    estimated_rows: int
    planned_at: AwareDatetime

    @property
    def observed_columns(self) -> str:
        """The source columns that this read sees, sorted, as `_observed_columns` holds them. isdeleted always is."""
        return ",".join(sorted({field.column for field in self.fields} | {"isdeleted"}))


class ExtractionStats(_Manifest):
    """What an extraction cost.

    :param rows: records read, duplicates included.
    :param distinct_ids: Ids among them.
    :param counted: Salesforce's own count with the same filter, taken afterwards.
    :param reads: how often the read was made until it was proven complete.
    :param bytes_received: bytes of response bodies.
    :param bytes_staged: bytes of staged Parquet.
    :param api_calls: HTTP requests sent to Salesforce.
    :param api_usage_percent: share of the org's daily API requests in use at the end, None if the org did not say.
    :param seconds: wall time.
    """

    rows: int
    distinct_ids: int
    counted: int
    reads: int
    bytes_received: int
    bytes_staged: int
    api_calls: int
    api_usage_percent: float | None
    seconds: float

    @classmethod
    def of_staged(cls, rows: int) -> Self:
        """Stats of rows that were there already: no org was asked for them.

        :param rows: how many, one an Id.
        """
        return cls(
            rows=rows,
            distinct_ids=rows,
            counted=rows,
            reads=0,
            bytes_received=0,
            bytes_staged=0,
            api_calls=0,
            api_usage_percent=None,
            seconds=0,
        )


class ExtractionManifest(_Manifest):
    """What extract staged.

    :param plan: the plan it followed.
    :param extracted_at: when this attempt began (UTC, microseconds); with the run id it names the batch.
    :param files: URIs of staged Parquet, one row a record: the source columns only. A full refresh stages every row
        that is there; those whose cursor is at or after the window's end prove presence and are not logged.
    :param stats: see ExtractionStats.
    :param covered_until: cursor up to which nothing can be missing: the watermark does not pass it. None: the
        window's end.
    """

    plan: ReadPlan
    extracted_at: datetime
    files: tuple[str, ...]
    stats: ExtractionStats
    covered_until: AwareDatetime | None = None


class ValidationManifest(_Manifest):
    """What validate accepted.

    :param extraction: what was staged.
    :param files: URIs of Parquet with the accepted rows: one row an Id, source columns only.
    :param present_files: URIs of Parquet with one column `id`: Ids that are in the org but were rejected.
    :param accepted: rows accepted.
    :param rejected: rows rejected into quarantine.
    :param superseded: older states and repeats of an Id that was read more than once.
    :param reasons: reason → rows rejected for it.
    :param warnings: sentences about values that passed but were not expected.
    """

    extraction: ExtractionManifest
    files: tuple[str, ...]
    present_files: tuple[str, ...]
    accepted: int
    rejected: int
    superseded: int
    reasons: dict[str, int]
    warnings: tuple[str, ...]


class UpsertManifest(_Manifest):
    """What upsert_raw wrote.

    :param table: qualified name of the mirror.
    :param logged: observations appended to the changes log, deletions included.
    :param deleted: deletions among them, found by absence.
    :param inserted: rows new in the mirror.
    :param updated: rows of the mirror that changed.
    :param unchanged: accepted rows that said nothing new.
    :param recovered: observations that an earlier, interrupted run had logged and the mirror lacked.
    :param mirror_rows: rows of the mirror afterwards, deleted ones included.
    :param watermark: the mirror's watermark afterwards.
    :param last_full_refresh: window end of the last complete refresh.
    :param attempts: commits tried until one went through.
    """

    table: str
    logged: int
    deleted: int
    inserted: int
    updated: int
    unchanged: int
    recovered: int
    mirror_rows: int
    watermark: AwareDatetime | None
    last_full_refresh: AwareDatetime | None
    attempts: int


class ReplayManifest(_Manifest):
    """What a replay of the quarantine did.

    :param table: qualified name of the quarantine.
    :param replayed: rows of the quarantine that are in the lake now and were not marked so before.
    :param batches: runs that they came from.
    :param logged: observations appended to the changes log; the others were there already, or said nothing new.
    :param inserted: rows new in the mirror.
    :param updated: rows of the mirror that changed.
    :param refused: rows that the present rules refuse.
    :param unplaceable: rows that cannot be put back whatever the rules are.
    """

    table: str
    replayed: int = 0
    batches: int = 0
    logged: int = 0
    inserted: int = 0
    updated: int = 0
    refused: int = 0
    unplaceable: int = 0
