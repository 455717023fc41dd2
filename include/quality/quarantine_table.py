"""The quarantine table: its columns, and how it is opened and read. Whatever its layout, rows have all columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, IsNull
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import NestedField, StringType, TimestamptzType

from include.lake.data_files import keyed_files, read_file
from include.lake.existence import ensure_table
from include.lake.layout import NEW_TABLE, layout_of
from include.staging.manifest import ExtractionManifest

SCHEMA = Schema(
    NestedField(1, "id", StringType(), doc="Id of the record, as Salesforce sent it"),
    NestedField(2, "record", StringType(), doc="the record as JSON, source columns only"),
    NestedField(3, "reasons", StringType(), doc="why it was refused, in words"),
    NestedField(4, "_extraction_run_id", StringType(), doc="run that read it"),
    NestedField(5, "_quarantined_at", TimestamptzType(), doc="when it was put here"),
    NestedField(6, "_extracted_at", TimestamptzType(), doc="extraction attempt that read it"),
    NestedField(7, "_window_end", TimestamptzType(), doc="end of the window of the run that read it"),
    NestedField(8, "_observed_columns", StringType(), doc="source columns that were read"),
    NestedField(9, "_org_id", StringType(), doc="org that it was read from"),
    NestedField(10, "_replayed_at", TimestamptzType(), doc="when it was put into the lake after all; null: it was not"),
)

_PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "snappy",
    # A run's rows are found by the bounds of its id, which Iceberg would cut off after 16 characters.
    "write.metadata.metrics.column._extraction_run_id": "full",
    **NEW_TABLE,
}

_IDENTITY = ["id", "record", "_extraction_run_id", "_extracted_at"]
_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a batch of records came from: enough to log them at their place.

    :param run_id: Airflow's run id.
    :param extracted_at: the extraction attempt (UTC).
    :param window_end: end of the run's window.
    :param observed_columns: source columns that were read, separated by commas.
    :param org_id: 18-character id of the org.
    """

    run_id: str
    extracted_at: datetime
    window_end: datetime
    observed_columns: str
    org_id: str

    @classmethod
    def of(cls, extraction: ExtractionManifest) -> Self:
        """The origin of what a run has extracted.

        :param extraction: what extract staged.
        """
        plan = extraction.plan
        return cls(
            run_id=plan.run_id,
            extracted_at=extraction.extracted_at,
            window_end=plan.window.end,
            observed_columns=plan.observed_columns,
            org_id=plan.org_id,
        )


def open_quarantine(catalog: Catalog, table_name: str) -> Table:
    """The quarantine, to be written: made if it is not there, brought to this release's layout if it is older.

    :param catalog: an Iceberg catalog.
    :param table_name: `namespace.table`.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    return ensure_table(catalog, table_name, "quarantine", SCHEMA, properties=_PROPERTIES)


def find_quarantine(catalog: Catalog, table_name: str) -> Table | None:
    """The quarantine, to be read; None if there is none yet.

    :param catalog: an Iceberg catalog.
    :param table_name: `namespace.table`.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    try:
        table = catalog.load_table(table_name)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None
    layout_of(table)
    return table


def read_quarantine(table: Table, *, batch_rows: int) -> Iterator[pa.Table]:
    """All rows, a part at a time. What a table of an older layout lacks is null.

    :param table: from `find_quarantine`.
    :param batch_rows: most rows of a part.
    """
    for file in keyed_files(table):
        rows = _complete(read_file(table, file))
        for start in range(0, rows.num_rows, batch_rows):
            yield rows.slice(start, batch_rows)


def count_waiting(table: Table) -> int:
    """How many records are in there that were not replayed since: each counts once, however often it was refused.

    :param table: from `find_quarantine`.
    """
    if table.current_snapshot() is None:
        return 0
    waiting = _null("_replayed_at") if "_replayed_at" in table.schema().column_names else AlwaysTrue()
    ids = table.scan(row_filter=waiting, selected_fields=("id",)).to_arrow()["id"]
    count: int = pc.count_distinct(ids, mode="only_valid").as_py()
    if ids.null_count:
        # Without an Id nothing but the record itself says which one it is.
        nameless = And(waiting, _null("id"))
        records = table.scan(row_filter=nameless, selected_fields=("record",)).to_arrow()["record"]
        count += pc.count_distinct(records, mode="all").as_py()
    return count


def fingerprints(rows: pa.Table) -> list[bytes]:
    """What rows are marked by: one short value for each record of an extraction attempt.

    :param rows: of the quarantine.
    """
    return [
        hashlib.sha256(repr(tuple(row.values())).encode("utf-8", "surrogatepass")).digest()
        for row in rows.select(_IDENTITY).to_pylist()
    ]


def _null(column: str) -> BooleanExpression:
    return IsNull(column)  # type: ignore[misc]


def _complete(rows: pa.Table) -> pa.Table:
    for field in SCHEMA.fields:
        if field.name not in rows.schema.names:
            kind = _MOMENT if isinstance(field.field_type, TimestamptzType) else pa.string()
            rows = rows.append_column(field.name, pa.nulls(rows.num_rows, kind))
    return rows
