"""How large the Iceberg tables are, told from their metadata alone: no data is read, and no bucket is listed.

`sf_ops.table_sizes` has one row a run and table, so that growth, and what the upkeep did about it, can be asked with
SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot

from include.lake.names import RawTables
from include.lake.operations_table import put_rows, read_rows

TABLE = "table_sizes"

#: Entry of a snapshot's summary. pyiceberg and Athena write it; DuckDB leaves it out, and after it so does pyiceberg.
_TOTAL_BYTES = "total-files-size"

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
class TableSize:
    """One table as it is now.

    :param table_name: `namespace.table`.
    :param role: what it is for: mirror, changes, quarantine, ledger, dimension, snapshot, or operations.
    :param snapshots: states that time travel can still reach.
    :param manifests: manifests of the current state; a reader opens each.
    :param data_files: data files of the current state.
    :param delete_files: files that say which rows of the data files are gone.
    :param bytes: of data files and delete files of the current state.
    :param records: rows in the data files; those that a delete file hides are counted until they are compacted away.
    :param measured_at: when, UTC.
    """

    table_name: str
    role: str
    snapshots: int = 0
    manifests: int = 0
    data_files: int = 0
    delete_files: int = 0
    bytes: int = 0
    records: int = 0
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
    """The size of one table: its metadata, one manifest list, and manifests only where nobody wrote their sum.

    :param table: the loaded table.
    :param role: what it is for.
    """
    measured_at, name = datetime.now(UTC), ".".join(table.name())
    snapshot = table.current_snapshot()
    if snapshot is None:
        return TableSize(table_name=name, role=role, measured_at=measured_at)
    manifests = snapshot.manifests(table.io)
    data = [manifest for manifest in manifests if manifest.content == ManifestContent.DATA]
    deletes = [manifest for manifest in manifests if manifest.content == ManifestContent.DELETES]
    return TableSize(
        table_name=name,
        role=role,
        snapshots=len(table.metadata.snapshots),
        manifests=len(manifests),
        data_files=sum(map(_live_files, data)),
        delete_files=sum(map(_live_files, deletes)),
        bytes=_bytes(table, snapshot, manifests),
        records=sum((one.added_rows_count or 0) + (one.existing_rows_count or 0) for one in data),
        measured_at=measured_at,
    )


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


def _live_files(manifest: ManifestFile) -> int:
    return (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)


def _bytes(table: Table, snapshot: Snapshot, manifests: Sequence[ManifestFile]) -> int:
    said = snapshot.summary.additional_properties.get(_TOTAL_BYTES) if snapshot.summary else None
    if said is not None:
        return int(said)
    return sum(
        entry.data_file.file_size_in_bytes
        for manifest in manifests
        for entry in manifest.fetch_manifest_entry(table.io)
    )
