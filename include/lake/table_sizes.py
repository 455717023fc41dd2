"""`sf_ops.table_sizes`: how large each Iceberg table was after a run, one row a run and table, so that growth, and what
the upkeep did about it, can be asked with SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from include.lake.footprint import Footprint, footprint
from include.lake.names import RawTables
from include.lake.operations_table import put_rows, read_rows

TABLE = "table_sizes"

_MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("object", pa.string()),
        ("environment", pa.string()),
        ("table_name", pa.string()),
        ("role", pa.string()),
        ("snapshots", pa.int64()),
        ("manifests", pa.int64()),
        ("data_files", pa.int64()),
        ("delete_files", pa.int64()),
        ("bytes", pa.int64()),
        ("records", pa.int64()),
        ("measured_at", _MOMENT),
    ]
)


@dataclass(frozen=True, kw_only=True)
class TableSize(Footprint):
    """One table as it is now.

    :param table_name: `namespace.table`.
    :param role: what it is for: mirror, changes, quarantine, ledger, dimension, snapshot, or operations.
    :param measured_at: when, UTC.
    """

    table_name: str
    role: str
    measured_at: datetime


def measure_tables(catalog: Catalog, tables: RawTables, *, operations_namespace: str) -> list[TableSize]:
    """The sizes of an object's tables, and of the tables of `sf_ops`; those that are not there yet are left out.

    :param catalog: the Iceberg catalog.
    :param tables: the object's tables.
    :param operations_namespace: namespace of the operations tables.
    """
    named = [(identifier, role) for role, identifier in asdict(tables).items()]
    try:
        operations = sorted(".".join(name) for name in catalog.list_tables(operations_namespace))
    except NoSuchNamespaceError:
        operations = []
    return list(_measured(catalog, [*named, *((identifier, "operations") for identifier in operations)]))


def measure_table(table: Table, *, role: str) -> TableSize:
    """The size of one table.

    :param table: the loaded table.
    :param role: what it is for.
    """
    measured_at = datetime.now(UTC)
    return TableSize(table_name=".".join(table.name()), role=role, measured_at=measured_at, **asdict(footprint(table)))


def record_sizes(
    catalog: Catalog, namespace: str, sizes: Sequence[TableSize], *, run_id: str, object_name: str, environment: str
) -> None:
    """Write what a run measured; a run that measures again replaces its rows.

    :param namespace: namespace of the operations tables.
    :param sizes: from `measure_tables`.
    :param run_id: Airflow's run id.
    :param object_name: API name of the run's object; the tables of `sf_ops` are told under it too.
    :param environment: name of the environment.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    key = {"run_id": run_id, "object": object_name}
    rows = [{**key, "environment": environment, **asdict(size)} for size in sizes]
    put_rows(catalog, f"{namespace}.{TABLE}", role="table_sizes", schema=SCHEMA, key=key, rows=rows)


def read_sizes(catalog: Catalog, namespace: str, *, run_id: str, object_name: str) -> list[TableSize]:
    """What a run measured, in the order of `measure_tables`.

    :param namespace: namespace of the operations tables.
    :param run_id: Airflow's run id.
    :param object_name: API name of the run's object.
    """
    key = {"run_id": run_id, "object": object_name}
    rows = read_rows(catalog, f"{namespace}.{TABLE}", schema=SCHEMA, key=key).to_pylist()
    return [TableSize(**{name: row[name] for name in TableSize.__dataclass_fields__}) for row in rows]


def _measured(catalog: Catalog, named: Iterable[tuple[str, str]]) -> Iterable[TableSize]:
    for identifier, role in named:
        try:
            yield measure_table(catalog.load_table(identifier), role=role)
        except (NoSuchTableError, NoSuchNamespaceError):
            continue
