"""`sf_ops.upkeep`: one row a run and table, with the table's size before and after."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.catalog import Catalog

from include.lake.operations_table import put_rows
from include.upkeep.measure import MEASURES
from include.upkeep.upkeep import UpkeepReport

TABLE = "upkeep"

_MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("run_id", "environment", "object", "table", "place", "engine")),
        ("dry_run", pa.bool_()),
        ("started_at", _MOMENT),
        ("recorded_at", _MOMENT),
        *((name, pa.int64()) for name in ("files_compacted", "snapshots_expired", "files_deleted", "orphans_deleted")),
        *((f"{name}_{when}", pa.int64()) for name in MEASURES for when in ("before", "after")),
    ]
)


def record_upkeep(catalog: Catalog, namespace: str, report: UpkeepReport, *, run_id: str, environment: str) -> None:
    """Write a report; the same table in the same run again replaces its row.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables, `sf_ops`.
    :param report: of the upkeep of a table.
    :param run_id: Airflow's run id, or what names the command.
    :param environment: name of the environment.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    said = asdict(report)
    for when in ("before", "after"):
        said |= {f"{name}_{when}": count for name, count in said.pop(when).items()}
    key = {"run_id": run_id, "table": report.table}
    row = {**said, **key, "environment": environment, "recorded_at": datetime.now(UTC)}
    put_rows(catalog, f"{namespace}.{TABLE}", role="upkeep", schema=SCHEMA, key=key, rows=[row])
