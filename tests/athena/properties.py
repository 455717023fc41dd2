"""The table properties that Athena knows, and what Trino calls them. Any other one is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.athena.answers import Failed

#: Athena keeps these in the table's metadata; a number, but for the compression.
KEPT = frozenset({
    "write_compression",
    "compression_level",
    "optimize_rewrite_data_file_threshold",
    "optimize_rewrite_delete_file_threshold",
    "optimize_rewrite_min_data_file_size_bytes",
    "optimize_rewrite_max_data_file_size_bytes",
    "vacuum_min_snapshots_to_keep",
    "vacuum_max_snapshot_age_seconds",
    "vacuum_max_metadata_files_to_keep",
    "write_target_data_file_size_bytes",
})  # fmt: skip

#: What a table may be changed to besides.
_ALTERABLE = KEPT | {"format", "write.data.path", "write.object-storage.path"}
_ICEBERG = KEPT | {"table_type", "is_external", "location", "partitioning", "format"}
_HIVE = frozenset({
    "table_type", "is_external", "external_location", "partitioned_by", "bucketed_by", "bucket_count",
    "field_delimiter", "format", "write_compression", "compression_level", "orc_compression", "parquet_compression",
})  # fmt: skip

_FORMATS = ("PARQUET", "ORC", "AVRO")
_COMPRESSIONS = ("NONE", "GZIP", "SNAPPY", "ZSTD", "LZ4")

Value = str | tuple[str, ...]


@dataclass(frozen=True)
class TableProperties:
    """What a table is to be created with.

    :param location: its folder.
    :param partitioning: as Trino writes it.
    :param format: of its files.
    :param compression: of its files; empty: Athena's, which is ZSTD.
    :param is_iceberg: else it would be a Hive table.
    :param kept: what is kept in the table's metadata.
    """

    location: str
    partitioning: tuple[str, ...] = ()
    format: str = "PARQUET"
    compression: str = ""
    is_iceberg: bool = True
    kept: Mapping[str, str] = field(default_factory=dict)


def of_ctas(given: Mapping[str, Value]) -> TableProperties:
    """The properties of CREATE TABLE … WITH (…) AS.

    https://docs.aws.amazon.com/athena/latest/ug/create-table-as.html

    :raises Failed: if one is unknown, missing or wrong.
    """
    kind = str(given.get("table_type", "HIVE")).upper()
    if kind not in ("ICEBERG", "HIVE"):
        raise Failed(
            "INVALID_TABLE_PROPERTY", f"Unable to set catalog 'awsdatacatalog' table property 'table_type' to [{kind}]"
        )
    iceberg = kind == "ICEBERG"
    for name in given:
        if name not in (_ICEBERG if iceberg else _HIVE):
            raise Failed("INVALID_TABLE_PROPERTY", f"Catalog 'awsdatacatalog' table property '{name}' does not exist")
    if iceberg and str(given.get("is_external", "true")).lower() != "false":
        raise Failed(
            "NOT_SUPPORTED", "External tables are not supported for table type ICEBERG. Set is_external to false"
        )
    location = str(given.get("location" if iceberg else "external_location", ""))
    if iceberg and not location:
        raise Failed("INVALID_TABLE_PROPERTY", "Table location must be specified for Iceberg tables: location")
    partitioning = given.get("partitioning" if iceberg else "partitioned_by", ())
    return TableProperties(
        location=location.rstrip("/"),
        partitioning=(partitioning,) if isinstance(partitioning, str) else partitioning,
        format=_one_of("format", str(given.get("format", "PARQUET")), _FORMATS),
        compression=_compression(given),
        is_iceberg=iceberg,
        kept=kept(given) if iceberg else {},
    )


def kept(given: Mapping[str, Value]) -> dict[str, str]:
    """Of all properties those that Iceberg keeps in the table's metadata, by the names that Athena gives them.

    :param given: known ones.
    :raises Failed: if a number is none.
    """
    for name, value in given.items():
        if name in KEPT - {"write_compression"} and not str(value).isdigit():
            raise Failed("INVALID_TABLE_PROPERTY", f"Value of table property '{name}' is not a number: {value}")
    return {name: str(value) for name, value in given.items() if name in KEPT}


def of_alter(given: Mapping[str, str]) -> dict[str, str]:
    """The properties of ALTER TABLE … SET TBLPROPERTIES.

    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-alter-table-set-properties.html

    :raises Failed: if one is unknown.
    """
    for name in given:
        if name not in _ALTERABLE:
            raise Failed("INVALID_TABLE_PROPERTY", f"Unsupported table property key: {name}")
    _compression(given)
    kept(given)
    return dict(given)


def of_ddl(given: Mapping[str, str], *, location: str, partitioning: tuple[str, ...]) -> TableProperties:
    """The properties of CREATE TABLE (…) LOCATION … TBLPROPERTIES (…).

    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-creating-tables.html

    :raises Failed: if one is unknown, or it is no Iceberg table.
    """
    if given.get("table_type", "").upper() != "ICEBERG":
        raise Failed("NOT_SUPPORTED", "CREATE TABLE without EXTERNAL needs TBLPROPERTIES ('table_type'='ICEBERG')")
    for name in given:
        if name not in KEPT | {"table_type", "format"}:
            raise Failed("INVALID_TABLE_PROPERTY", f"Unsupported table property key: {name}")
    if not location:
        raise Failed("INVALID_TABLE_PROPERTY", "Table location must be specified for Iceberg tables: LOCATION")
    return TableProperties(
        location=location.rstrip("/"),
        partitioning=partitioning,
        format=_one_of("format", given.get("format", "PARQUET"), _FORMATS),
        compression=_compression(given),
        kept=kept(given),
    )


def _compression(given: Mapping[str, Value]) -> str:
    value = given.get("write_compression", "")
    return _one_of("write_compression", str(value), _COMPRESSIONS) if value else ""


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value.upper() not in allowed:
        raise Failed(
            "INVALID_TABLE_PROPERTY", f"Table property '{name}' is {value}; supported are {', '.join(allowed)}"
        )
    return value.upper()
