"""`sf_ops.pipeline_runs`: one row a run and object, so that what happened can be asked with SQL, everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And

from include.lake.conflicts import again_on_conflict
from include.lake.data_files import equal_to
from include.lake.layout import NEW_TABLE, bring_up_to_date

TABLE = "pipeline_runs"

_MOMENT = pa.timestamp("us", tz="UTC")
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
    ]
)


@again_on_conflict
def record_run(catalog: Catalog, namespace: str, row: dict[str, Any]) -> None:
    """Write a run's row; a run that is recorded again replaces its row.

    :param namespace: namespace of the operations tables, `sf_ops`.
    :param row: values by column of `SCHEMA`; run_id and object are required, what is missing is null.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    unknown = sorted(set(row) - set(SCHEMA.names))
    if unknown:
        raise ValueError(f"{TABLE} has no column {', '.join(unknown)}; it has {', '.join(SCHEMA.names)}")
    catalog.create_namespace_if_not_exists(namespace)
    table = catalog.create_table_if_not_exists(f"{namespace}.{TABLE}", schema=SCHEMA, properties=NEW_TABLE)
    bring_up_to_date(table, "runs")
    values = {"recorded_at": datetime.now(UTC), **row}
    table.overwrite(
        pa.Table.from_pylist([{name: values.get(name) for name in SCHEMA.names}], schema=SCHEMA),
        overwrite_filter=And(equal_to("run_id", row["run_id"]), equal_to("object", row["object"])),
    )


def read_runs(catalog: Catalog, namespace: str) -> pa.Table:
    """Every recorded run, oldest first; an empty table where none was recorded.

    :param namespace: namespace of the operations tables.
    """
    identifier = f"{namespace}.{TABLE}"
    if not catalog.table_exists(identifier):
        return SCHEMA.empty_table()
    return catalog.load_table(identifier).scan().to_arrow().sort_by("recorded_at")
