"""`sf_ops.pipeline_runs`: one row a run and object, so that what happened can be asked with SQL, everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.expressions import And, BooleanExpression, Not

from include.lake.conflicts import again_on_conflict
from include.lake.data_files import KeyedFile, equal_to, read_file, write_files
from include.lake.layout import NEW_TABLE, bring_up_to_date
from include.lake.one_commit import commit_once

TABLE = "pipeline_runs"

#: Rows of a file that takes in no more.
_FILE_ROWS = 1_000
#: A run's row is found by the bounds of its id, which Iceberg would cut off after 16 characters.
_PROPERTIES = {**NEW_TABLE, "write.metadata.metrics.column.run_id": "full"}

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

    Rows gather in a small file until it has `_FILE_ROWS` of them, so that files and manifests stay few.

    :param namespace: namespace of the operations tables, `sf_ops`.
    :param row: values by column of `SCHEMA`; run_id and object are required, what is missing is null.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    unknown = sorted(set(row) - set(SCHEMA.names))
    if unknown:
        raise ValueError(f"{TABLE} has no column {', '.join(unknown)}; it has {', '.join(SCHEMA.names)}")
    catalog.create_namespace_if_not_exists(namespace)
    table = catalog.create_table_if_not_exists(f"{namespace}.{TABLE}", schema=SCHEMA, properties=_PROPERTIES)
    bring_up_to_date(table, "runs")
    ours = _of_run(row["run_id"], row["object"])
    files = {task.file.file_path: KeyedFile(task, None, None) for task in table.scan().plan_files()}
    near = {task.file.file_path for task in table.scan(row_filter=ours).plan_files()}
    replaced = {path: files[path] for path in near if read_file(table, files[path], ["run_id"], ours).num_rows}
    small = [path for path, file in files.items() if file.rows < _FILE_ROWS]
    if small:
        tail = min(small, key=lambda path: files[path].rows)
        replaced[tail] = files[tail]
    kept = [read_file(table, file, row_filter=Not(ours)) for file in replaced.values()]
    values = {"recorded_at": datetime.now(UTC), **row}
    new = pa.Table.from_pylist([{name: values.get(name) for name in SCHEMA.names}], schema=SCHEMA)
    commit_once(
        table,
        added=write_files(table, pa.concat_tables([*(rows.cast(SCHEMA) for rows in kept), new])),
        removed=[file.task.file for file in replaced.values()],
    )


def read_run(catalog: Catalog, namespace: str, *, run_id: str, object_name: str) -> dict[str, Any] | None:
    """A run's row; None where it was not recorded.

    :param namespace: namespace of the operations tables.
    :param run_id: Airflow's run id.
    :param object_name: API name of the object.
    """
    identifier = f"{namespace}.{TABLE}"
    if not catalog.table_exists(identifier):
        return None
    rows = catalog.load_table(identifier).scan(row_filter=_of_run(run_id, object_name)).to_arrow().to_pylist()
    return rows[0] if rows else None


def _of_run(run_id: str, object_name: str) -> BooleanExpression:
    return And(equal_to("run_id", run_id), equal_to("object", object_name))


def read_runs(catalog: Catalog, namespace: str) -> pa.Table:
    """Every recorded run, oldest first; an empty table where none was recorded.

    :param namespace: namespace of the operations tables.
    """
    identifier = f"{namespace}.{TABLE}"
    if not catalog.table_exists(identifier):
        return SCHEMA.empty_table()
    return catalog.load_table(identifier).scan().to_arrow().sort_by("recorded_at")
