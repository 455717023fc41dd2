"""A lake for the page: a dimension that pyiceberg has written, partitioned as dbt partitions it, and a log."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import BooleanType, LongType, NestedField, StringType, TimestampType

from include.config.environment import current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.lake.names import RawTables
from include.page.lake import ObjectLake
from include.page.snapshot_cache import SnapshotCache

USER = read_object_files()["user"]
ENVIRONMENT = current_environment({})
BEGINNING = datetime(2026, 1, 5)
#: Source columns.
TRACKED = tuple(name.lower() for name in USER.tracked)
_INSTANT = pa.timestamp("us", tz="UTC")

_SCHEMA = Schema(
    NestedField(1, "user_key", LongType()),
    NestedField(2, "user_id", StringType()),
    NestedField(3, "name", StringType()),
    NestedField(4, "division", StringType()),
    NestedField(5, "audit_phase__c", StringType()),
    NestedField(6, "is_active", BooleanType()),
    NestedField(7, "update_date", TimestampType()),
    NestedField(8, "effective_from", TimestampType()),
    NestedField(9, "effective_to", TimestampType()),
    NestedField(10, "is_current", BooleanType()),
    NestedField(11, "is_deleted", BooleanType()),
    NestedField(12, "_scd_id", StringType()),
)
_LAYOUT = PartitionSpec(
    PartitionField(source_id=10, field_id=1000, transform=IdentityTransform(), name="is_current"),
    PartitionField(source_id=2, field_id=1001, transform=BucketTransform(8), name="user_id_bucket"),
)
_ARROW = pa.schema(
    [
        ("user_key", pa.int64()),
        *((name, pa.string()) for name in ("user_id", "name", "division", "audit_phase__c")),
        ("is_active", pa.bool_()),
        *((name, pa.timestamp("us")) for name in ("update_date", "effective_from", "effective_to")),
        ("is_current", pa.bool_()),
        ("is_deleted", pa.bool_()),
        ("_scd_id", pa.string()),
    ]
)


class Links:
    """Addresses that a test can read."""

    def dag(self, dag_id: str) -> str:
        return f"/dags/{dag_id}"

    def run(self, dag_id: str, run_id: str) -> str:
        return f"/dags/{dag_id}/runs/{run_id}"


def user_id(number: int) -> str:
    """An Id of 18 characters, its suffix included."""
    return f"0055e{number:010d}AAA"


def catalog_in(folder: Path) -> SqlCatalog:
    """A real catalog; empty."""
    folder.mkdir(parents=True, exist_ok=True)
    return SqlCatalog("iceberg_default", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")


def object_lake(catalog: SqlCatalog, object_file: ObjectFile = USER) -> ObjectLake:
    """The object's part of it."""
    return ObjectLake(catalog, object_file, ENVIRONMENT)


def new_cache() -> SnapshotCache:
    """Of one test."""
    return SnapshotCache(most_bytes=50_000_000)


def versions_of(number: int, *states: dict[str, Any], name: str | None = "Somebody") -> list[dict[str, Any]]:
    """Rows of the dimension: one an hour, in the order given.

    :param number: of the user.
    :param states: what each version says that is not as usual; `at` is hours after `BEGINNING`.
    """
    begun = [BEGINNING + timedelta(hours=state.pop("at", place)) for place, state in enumerate(map(dict, states))]
    rows = []
    for place, state in enumerate(states):
        said = {key: value for key, value in state.items() if key != "at"}
        ended = begun[place + 1] if place + 1 < len(states) else None
        scd_id = hashlib.md5(f"{number} {begun[place]}".encode()).hexdigest()  # noqa: S324  (as dbt does)
        rows.append(
            {
                "user_key": int(scd_id[:15], 16), "user_id": user_id(number), "name": name, "division": "North",
                "audit_phase__c": "Phase1", "is_active": True, "update_date": begun[place],
                "effective_from": begun[place], "effective_to": ended, "is_current": ended is None,
                "is_deleted": False, "_scd_id": scd_id, **said,
            }
        )  # fmt: skip
    return rows


def publish(catalog: SqlCatalog, *files: Iterable[dict[str, Any]]) -> None:
    """Append rows to the dimension, each of these to files of its own; it is made if need be."""
    catalog.create_namespace_if_not_exists("sf_curated")
    name = f"sf_curated.{USER.dimension}"
    table = (
        catalog.load_table(name)
        if catalog.table_exists(name)
        else catalog.create_table(name, _SCHEMA, partition_spec=_LAYOUT)
    )
    for rows in files:
        table.append(pa.Table.from_pylist(list(rows), _ARROW))


def log(catalog: SqlCatalog, *observations: tuple[str, float, str], tracked: Iterable[str] = TRACKED) -> None:
    """Append observations of user 1 to the changes log, each in a file of its own.

    :param observations: run, hours after `BEGINNING`, and what each tracked column said.
    :param tracked: source columns that the log has.
    """
    tracked = tuple(tracked)
    own = [
        ("id", pa.string()),
        *((name, _INSTANT) for name in ("lastmodifieddate", "systemmodstamp")),
        ("isdeleted", pa.bool_()),
    ]
    batch = [("_extraction_run_id", pa.string()), ("_extracted_at", _INSTANT), ("_window_end", _INSTANT)]
    texts = [(name, pa.string()) for name in (*tracked, "_row_hash", "_change", "_observed_columns")]
    schema = pa.schema([*own, *texts, *batch])
    table = _table(catalog, RawTables.of(USER, ENVIRONMENT).changes, schema)
    for run, hour, value in observations:
        row = {
            "id": user_id(1), "lastmodifieddate": utc(hour), "systemmodstamp": utc(hour), "isdeleted": False,
            **dict.fromkeys(tracked, value),
            "_extraction_run_id": run, "_extracted_at": utc(hour), "_window_end": utc(hour), "_row_hash": "a" * 64,
            "_change": "upsert", "_observed_columns": ",".join(("id", "systemmodstamp", "isdeleted", *tracked)),
        }  # fmt: skip
        table.append(pa.Table.from_pylist([row], schema))


def consume(catalog: SqlCatalog, *batches: tuple[str, float]) -> None:
    """Tell the ledger of batches, as dbt does after it has published them: run, and hours after `BEGINNING`."""
    schema = pa.schema([("_extraction_run_id", pa.string()), ("_extracted_at", _INSTANT)])
    rows = [{"_extraction_run_id": run, "_extracted_at": utc(hour)} for run, hour in batches]
    _table(catalog, RawTables.of(USER, ENVIRONMENT).ledger, schema).append(pa.Table.from_pylist(rows, schema))


def _table(catalog: SqlCatalog, name: str, schema: pa.Schema) -> Table:
    catalog.create_namespace_if_not_exists(name.split(".", maxsplit=1)[0])
    return catalog.load_table(name) if catalog.table_exists(name) else catalog.create_table(name, schema)


def utc(hours: float) -> datetime:
    """A moment, hours after `BEGINNING`."""
    return BEGINNING.replace(tzinfo=UTC) + timedelta(hours=hours)
