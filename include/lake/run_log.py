"""`sf_ops.pipeline_runs`: one row a run and object, so that what happened can be asked with SQL, everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog

from include.lake.operations_table import put_rows, read_rows

TABLE = "pipeline_runs"

_MOMENT = pa.timestamp("us", tz="UTC")
#: docs/metrics.md says what each is. What a later layout brought comes last (include/lake/layout.py).
SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("object", pa.string()),
        ("environment", pa.string()),
        ("state", pa.string()),
        ("kind", pa.string()),
        ("full_refresh", pa.bool_()),
        ("window_start", _MOMENT),
        ("window_end", _MOMENT),
        ("api", pa.string()),
        ("rows_extracted", pa.int64()),
        ("rows_accepted", pa.int64()),
        ("rows_quarantined", pa.int64()),
        ("observations_logged", pa.int64()),
        ("deletions_found", pa.int64()),
        ("mirror_rows", pa.int64()),
        ("versions_opened", pa.int64()),
        ("versions_closed", pa.int64()),
        ("versions_deleted", pa.int64()),
        ("versions", pa.int64()),
        ("records", pa.int64()),
        ("history_rebuilt", pa.bool_()),
        ("failed_tasks", pa.string()),
        ("api_calls", pa.int64()),
        ("bytes_received", pa.int64()),
        ("extraction_seconds", pa.float64()),
        ("watermark", _MOMENT),
        ("recorded_at", _MOMENT),
        ("started_at", _MOMENT),
        ("finished_at", _MOMENT),
        ("ingestion_seconds", pa.float64()),
        ("dbt_seconds", pa.float64()),
        ("run_seconds", pa.float64()),
        ("live_records", pa.int64()),
        ("dbt_tests", pa.int64()),
        ("dbt_tests_failed", pa.int64()),
        ("dbt_tests_warned", pa.int64()),
        ("failed_tests", pa.string()),
        ("warned_tests", pa.string()),
        ("quality_score", pa.float64()),
        ("scd_success_rate", pa.float64()),
        ("api_usage_percent", pa.float64()),
        ("freshness_seconds", pa.float64()),
        ("anomalies", pa.string()),
        ("error", pa.string()),
    ]
)


def record_run(catalog: Catalog, namespace: str, row: dict[str, Any]) -> None:
    """Write a run's row; a run that is recorded again replaces its row.

    :param namespace: namespace of the operations tables, `sf_ops`.
    :param row: values by column of `SCHEMA`; run_id and object are required, what is missing is null.
    :raises ValueError: for a column that the table does not have.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    put_rows(
        catalog,
        f"{namespace}.{TABLE}",
        role="runs",
        schema=SCHEMA,
        key={"run_id": row["run_id"], "object": row["object"]},
        rows=[{"recorded_at": datetime.now(UTC), **row}],
    )


def read_run(catalog: Catalog, namespace: str, *, run_id: str, object_name: str) -> dict[str, Any] | None:
    """A run's row; None where it was not recorded.

    :param namespace: namespace of the operations tables.
    :param run_id: Airflow's run id.
    :param object_name: API name of the object.
    """
    key = {"run_id": run_id, "object": object_name}
    rows = read_rows(catalog, f"{namespace}.{TABLE}", schema=SCHEMA, key=key).to_pylist()
    return rows[0] if rows else None


def read_runs(
    catalog: Catalog, namespace: str, *, object_name: str | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Recorded runs, oldest first; an empty table where none was recorded.

    :param namespace: namespace of the operations tables.
    :param object_name: only the runs of this object.
    :param columns: which columns, `recorded_at` among them; all by default.
    """
    key = {"object": object_name} if object_name else None
    wanted = SCHEMA if columns is None else pa.schema([SCHEMA.field(name) for name in columns])
    return read_rows(catalog, f"{namespace}.{TABLE}", schema=wanted, key=key).sort_by("recorded_at")
