"""A lake for the page: a history as runs leave it behind, with runs on record and records in the quarantine."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import BooleanType, LongType, NestedField, PrimitiveType, StringType, TimestampType

from bench.history_data import History, Writer
from bench.history_lake import Lake, laptop_lake
from bench.measure import Clock
from include.lake.run_log import record_run
from include.quality.quarantine_table import open_quarantine

RUNS: Final = 500
REFUSED: Final = 1_000
_AT = datetime(2025, 2, 10, tzinfo=UTC)
#: As dbt makes it on DuckDB; dbt itself would take longer than the measurement.
_COLUMNS: Final[dict[str, PrimitiveType]] = {
    "user_key": LongType(),
    **{name: StringType() for name in ("user_id", "name", "division", "audit_phase__c")},
    "is_active": BooleanType(),
    **{name: TimestampType() for name in ("update_date", "effective_from", "effective_to")},
    "is_current": BooleanType(),
    "is_deleted": BooleanType(),
    "_dbt_updated_at": TimestampType(),
    "_scd_id": StringType(),
}


def prepare(clock: Clock, *, versions: int) -> dict[str, float | str]:
    """Make the lake of a size in the working directory, unless it is there.

    :param clock: counts it.
    :param versions: of the dimension.
    """
    with clock.running():
        lake = lake_of(versions)
    return {"tables": float(sum(len(lake.catalog.list_tables(name)) for name in lake.catalog.list_namespaces()))}


def lake_of(versions: int) -> Lake:
    """The lake of a size in the working directory; made the first time.

    :param versions: of the dimension.
    """
    folder = Path(f"page-{versions}").resolve()
    ready = folder / ".ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        history, lake = History(versions), laptop_lake(folder)
        writer = Writer(lake.catalog, lake.environment)
        writer.create()
        _make_dimension(lake.catalog, writer.tables.dimension)
        writer.write(history)
        writer.write_mirror(history, [])
        writer.write_versions(history, writer.tables.dimension)
        _record_runs(lake, versions)
        _refuse(lake, writer.tables.quarantine)
        ready.touch()
    return laptop_lake(folder)


def _make_dimension(catalog: Catalog, name: str) -> None:
    fields = [NestedField(place, column, kind) for place, (column, kind) in enumerate(_COLUMNS.items(), start=1)]
    schema = Schema(*fields)
    flag, key = schema.find_field("is_current").field_id, schema.find_field("user_id").field_id
    layout = PartitionSpec(
        PartitionField(source_id=flag, field_id=1000, transform=IdentityTransform(), name="is_current"),
        PartitionField(source_id=key, field_id=1001, transform=BucketTransform(8), name="user_id_bucket"),
    )
    catalog.create_table(name, schema, partition_spec=layout)


def _record_runs(lake: Lake, versions: int) -> None:
    namespace = lake.environment.operations_namespace
    first = {"run_id": "run 0", "object": "User", "state": "success", "kind": "scheduled", "watermark": _AT}
    told = {"versions": versions, "records": versions // 5, "live_records": versions // 5, "quality_score": 100.0}
    record_run(lake.catalog, namespace, {**first, **told, "recorded_at": _AT})
    table = lake.catalog.load_table(f"{namespace}.pipeline_runs")
    row = table.scan().to_arrow().to_pylist()[0]
    rows = [
        {**row, "run_id": f"run {number}", "recorded_at": _AT + timedelta(hours=6 * number)}
        for number in range(1, RUNS)
    ]
    table.append(pa.Table.from_pylist(rows, table.schema().as_arrow()))


def _refuse(lake: Lake, name: str) -> None:
    table = open_quarantine(lake.catalog, name)
    schema = table.schema().as_arrow()
    rows = [
        dict.fromkeys(schema.names)
        | {
            "id": f"0055e{number:010d}AAA",
            "record": json.dumps({"id": f"0055e{number:010d}AAA", "name": None, "division": "North"}),
            "reasons": "Name is missing",
            "_extraction_run_id": f"run {number % 50}",
            **dict.fromkeys(("_quarantined_at", "_extracted_at", "_window_end"), _AT),
        }
        for number in range(REFUSED)
    ]
    table.append(pa.Table.from_pylist(rows, schema))
