"""The Iceberg tables of an object: their columns, layout and properties, and how they come into being.

All columns are optional: what must have a value is judged by validate, and DuckDB and Athena write optional columns
with less ado. Ids have exact bounds in the manifests, by which files are pruned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.existence import ensure_table
from include.lake.layout import NEW_TABLE
from include.lake.names import RawTables
from include.lake.schema_growth import UNSEEN, grow, refuse_incompatible
from include.staging.columns import COLUMN_TYPES
from include.staging.manifest import FieldPlan

ICEBERG_TYPES: dict[str, IcebergType] = {
    "string": StringType(),
    "timestamptz": TimestamptzType(),
    "date": DateType(),
    "boolean": BooleanType(),
    "long": LongType(),
    "double": DoubleType(),
}

#: Columns that follow the source columns.
EXTRACTION_COLUMNS = {"_extracted_at": "timestamptz", "_extraction_run_id": "string", "_row_hash": "string"}
OBSERVATION_COLUMNS = {"_change": "string", "_window_end": "timestamptz", "_observed_columns": "string"}
LEDGER_COLUMNS = {
    "_extraction_run_id": "string",
    "_extracted_at": "timestamptz",
    "observations": "long",
    "content": "long",
}

#: Fields whose type is the same in every org, known even where the org does not show them.
_STANDARD_TYPES = {
    "id": "string",
    "isdeleted": "boolean",
    "createddate": "timestamptz",
    "lastmodifieddate": "timestamptz",
    "systemmodstamp": "timestamptz",
}

PROPERTIES = {
    "format-version": "2",
    "write.parquet.compression-codec": "snappy",
    "write.target-file-size-bytes": str(128 * 1024 * 1024),
    "write.parquet.row-group-limit": "131072",
    "write.metadata.metrics.column.id": "full",
    "write.metadata.metrics.column._extraction_run_id": "full",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "50",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "8",
    **NEW_TABLE,
}


def source_columns(object_file: ObjectFile, fields: Iterable[FieldPlan]) -> dict[str, str | None]:
    """Source column → column type, in the object file's order.

    :param object_file: names the columns.
    :param fields: those that the org shows, with their types.
    :return: None for a column whose field the org does not show and whose type is therefore not known.
    """
    known = {field.column: field.column_type for field in fields}
    return {name: known.get(name) or _STANDARD_TYPES.get(name) for name in object_file.columns}


def ensure_tables(
    catalog: Catalog, object_file: ObjectFile, environment: Environment, columns: dict[str, str | None]
) -> RawTables:
    """Create what is missing of mirror, changes log and ledger, and grow what is there. May run twice at once.

    :param catalog: the Iceberg catalog.
    :param object_file: the object.
    :param environment: names the namespaces.
    :param columns: see `source_columns`.
    :raises LayoutTooNew: when a later release has changed one of them.
    :raises IncompatibleColumn: when a column cannot take the type that the org now gives it.
    :raises CommitFailedException: when another writer changed the schema at the same time; do it again.
    """
    tables = RawTables.of(object_file, environment)
    mirror = _schema(columns, EXTRACTION_COLUMNS)
    log = _schema(columns, {**EXTRACTION_COLUMNS, **OBSERVATION_COLUMNS})
    by_id = SortOrder(SortField(source_id=mirror.find_field("id").field_id, transform=IdentityTransform()))
    by_day = PartitionSpec(
        PartitionField(
            source_id=log.find_field("_extracted_at").field_id,
            field_id=1000,
            transform=DayTransform(),
            name="_extracted_at_day",
        )
    )
    growing = _iceberg_types(columns)
    made = partial(ensure_table, catalog, properties=PROPERTIES)
    grow(made(tables.mirror, "mirror", mirror, sort_order=by_id), growing)
    grow(made(tables.changes, "changes", log, spec=by_day, sort_order=by_id), growing)
    made(tables.ledger, "ledger", _schema({}, LEDGER_COLUMNS))
    return tables


def refuse_unfit(catalog: Catalog, tables: RawTables, columns: Mapping[str, str | None]) -> None:
    """Refuse what `ensure_tables` would refuse, without touching anything; tables that are not there take everything.

    :param catalog: the Iceberg catalog.
    :param tables: the object's tables.
    :param columns: see `source_columns`.
    :raises IncompatibleColumn: when a column cannot take the type that the org now gives it.
    """
    for name in (tables.mirror, tables.changes):
        if (table := _load(catalog, name)) is not None:
            refuse_incompatible(table, _iceberg_types(columns))


def mirror_columns(catalog: Catalog, tables: RawTables) -> tuple[str, ...]:
    """The mirror's columns; none where there is no mirror.

    :param catalog: the Iceberg catalog.
    :param tables: the object's tables.
    """
    mirror = _load(catalog, tables.mirror)
    return () if mirror is None else tuple(mirror.schema().column_names)


def arrow_schema(table: Table) -> pa.Schema:
    """How rows of a table are held in Arrow while they are worked on.

    :param table: the loaded table.
    """
    by_type = {kind: COLUMN_TYPES[name] for name, kind in ICEBERG_TYPES.items()}
    foreign = table.schema().as_arrow()
    return pa.schema(
        [
            (field.name, by_type.get(field.field_type) or foreign.field(field.name).type)
            for field in table.schema().fields
        ]
    )


def _schema(source: dict[str, str | None], tail: dict[str, str]) -> Schema:
    columns = {**source, **tail}
    return Schema(
        *[
            NestedField(
                field_id=number,
                name=name,
                field_type=ICEBERG_TYPES[kind or "string"],
                required=False,
                doc=None if kind else UNSEEN,
            )
            for number, (name, kind) in enumerate(columns.items(), start=1)
        ]
    )


def _iceberg_types(columns: Mapping[str, str | None]) -> dict[str, IcebergType | None]:
    return {name: ICEBERG_TYPES[kind] if kind else None for name, kind in columns.items()}


def _load(catalog: Catalog, identifier: str) -> Table | None:
    try:
        return catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return None
