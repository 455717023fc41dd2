"""`sf_ops.upkeep`: one row a run and table, with the table's size before and after."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.schema import Schema
from pyiceberg.types import IcebergType, LongType, NestedField, StringType, TimestamptzType

from include.lake.conflicts import again_on_conflict
from include.lake.data_files import write_files
from include.lake.one_commit import commit_once
from include.lake.tables import arrow_schema, ensure_namespace, ensure_table
from include.upkeep.measure import MEASURES
from include.upkeep.upkeep import UpkeepReport

TABLE = "upkeep"

_COLUMNS: dict[str, IcebergType] = {
    **{name: StringType() for name in ("run_id", "environment", "object", "table", "place", "engine")},
    "started_at": TimestamptzType(),
    "recorded_at": TimestamptzType(),
    **{name: LongType() for name in ("files_compacted", "snapshots_expired", "files_deleted", "orphans_deleted")},
    **{f"{name}_{when}": LongType() for name in MEASURES for when in ("before", "after")},
}
SCHEMA = Schema(
    *[NestedField(number, name, kind, required=False) for number, (name, kind) in enumerate(_COLUMNS.items(), start=1)]
)


@again_on_conflict
def record_upkeep(catalog: Catalog, namespace: str, report: UpkeepReport, *, run_id: str, environment: str) -> None:
    """Write a report; the same table in the same run again replaces its row.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables, `sf_ops`.
    :param report: of the upkeep of a table.
    :param run_id: Airflow's run id, or what names the command.
    :param environment: name of the environment.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    ensure_namespace(catalog, namespace)
    table = ensure_table(catalog, f"{namespace}.{TABLE}", "upkeep", SCHEMA)
    said = asdict(report)
    for when in ("before", "after"):
        said |= {f"{name}_{when}": count for name, count in said.pop(when).items()}
    row = {**said, "run_id": run_id, "environment": environment, "recorded_at": datetime.now(UTC)}
    schema = arrow_schema(table)
    known = table.scan().to_arrow().cast(schema)
    same = pc.and_(pc.equal(known.column("run_id"), run_id), pc.equal(known.column("table"), report.table))
    others = known.filter(pc.invert(same))
    ours = pa.Table.from_pylist([{name: row.get(name) for name in schema.names}], schema)
    # Some twenty rows a week: they are one file, and stay one.
    commit_once(
        table,
        added=write_files(table, pa.concat_tables([others, ours])),
        removed=[task.file for task in table.scan().plan_files()],
    )
