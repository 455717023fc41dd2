"""`deploy ddl`: the DDL of every table, in Athena's spelling, from the schemas that the code itself makes tables from.

The raw and operations tables are really made, in an empty catalog in a temporary folder, by the functions that the
pipeline calls; the dimension and its view are what dbt's contract says.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from pyiceberg.types import IcebergType, TimestamptzType

from deploy.names import Names
from deploy.problem import DeployFailed
from deploy.templates import FOLDER, read_parameters
from include.config.environment import PROJECT_ROOT, Environment, current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.lake import alert_log, erased, known_fields, run_log, table_sizes
from include.lake.tables import ensure_tables, source_columns
from include.quality.quarantine_table import open_quarantine
from include.upkeep import upkeep_log

MANIFEST = PROJECT_ROOT / "dbt" / "target" / "manifest.json"
_OPERATIONS = (run_log, alert_log, table_sizes, known_fields, upkeep_log, erased)
#: dbt's type → Athena's DDL.
_TYPES = {"varchar": "string", "timestamp(6)": "timestamp", "integer": "int"}
#: dbt's type → the pipeline's.
_RAW = {"varchar": "string", "timestamp(6)": "timestamptz", "boolean": "boolean", "bigint": "long", "double": "double"}
#: What Athena takes in TBLPROPERTIES, and how Iceberg calls it.
_COMPRESSION = "write.parquet.compression-codec"
_SNAPSHOT = {
    "dbt_scd_id": "string",
    "dbt_updated_at": "timestamp",
    "dbt_valid_from": "timestamp",
    "dbt_valid_to": "timestamp",
}
_NOTE = """\
-- The Iceberg tables of {environment}, as Athena spells them (engine version 3). To be read, not to be run: the first
-- run of a pipeline makes its tables, and later releases bring them up to date.
--
-- timestamp with time zone: Athena reads and writes such columns, and refuses them in CREATE TABLE. Tables that have
-- them are made by pyiceberg, through Glue. From staging onwards times are UTC without a zone, which Athena takes.
--
-- Not here: int_* and stg_*, which dbt makes anew in every run.
"""


def print_ddl(*, environment: str, prefix: str | None, templates: Path | None) -> None:
    """Print the DDL of an environment's tables.

    :param environment: development, staging or production.
    :param prefix: beginning of the buckets' names.
    :param templates: folder whose parameters/ has the prefix; None: this project's.
    :raises DeployFailed: when dbt's manifest is not there.
    """
    chosen = read_parameters(environment, folder=templates or FOLDER)
    names = Names.of(environment, prefix or chosen.get("BucketPrefix"))
    print(_NOTE.format(environment=environment))
    for statement in statements(names):
        print(statement)


def statements(names: Names) -> Iterator[str]:
    """The statements, one a table or view.

    :param names: of the environment.
    :raises DeployFailed: when dbt's manifest is not there.
    """
    environment = current_environment({"SF_HISTORY_ENV": names.environment})
    models = _models()
    bucket = f"s3://{names.bucket('raw')}"
    with tempfile.TemporaryDirectory() as folder:
        catalog = SqlCatalog("ddl", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}")
        for object_file in read_object_files().values():
            dimension = models[object_file.dimension]
            for table in _raw_tables(catalog, object_file, environment, dimension):
                yield _of_iceberg(table, bucket)
            yield from _of_dbt(object_file, environment, models, bucket)
        catalog.create_namespace_if_not_exists(environment.operations_namespace)
        for module in _OPERATIONS:
            name = f"{environment.operations_namespace}.{module.TABLE}"
            yield _of_iceberg(catalog.create_table(name, schema=module.SCHEMA), bucket)


def _raw_tables(
    catalog: SqlCatalog, object_file: ObjectFile, environment: Environment, dimension: dict[str, Any]
) -> list[Table]:
    columns = source_columns(object_file, [])
    for field in object_file.fields:
        column = field.lower()
        if columns.get(column) is None:
            said = dimension["columns"].get(object_file.dimension_column(field), {}).get("data_type", "varchar")
            columns[column] = _RAW[said]
    tables = ensure_tables(catalog, object_file, environment, columns)
    quarantine = open_quarantine(catalog, tables.quarantine)
    return [
        *(catalog.load_table(name) for name in (tables.mirror, tables.changes)),
        quarantine,
        catalog.load_table(tables.ledger),
    ]


def _of_iceberg(table: Table, bucket: str) -> str:
    schema = table.schema()
    database, name = table.name()[-2:]
    parts = [
        _part(str(field.transform), schema.find_column_name(field.source_id) or "") for field in table.spec().fields
    ]
    order = ", ".join(schema.find_column_name(field.source_id) or "" for field in table.sort_order().fields)
    zoned = any(isinstance(field.field_type, TimestamptzType) for field in schema.fields)
    notes = [
        f"-- {database}.{name}: {'not by Athena (timestamp with time zone)' if zoned else 'made by pyiceberg as well'}",
        *([f"-- its files are sorted by {order}"] if order else []),
    ]
    columns = {field.name: (_athena(field.field_type), field.doc or "") for field in schema.fields}
    return _statement(
        notes, f"{database}.{name}", columns, parts, bucket, compression=table.properties.get(_COMPRESSION, "zstd")
    )


def _of_dbt(
    object_file: ObjectFile, environment: Environment, models: dict[str, dict[str, Any]], bucket: str
) -> Iterator[str]:
    dimension = models[object_file.dimension]
    columns = {name: (_dbt_type(said["data_type"]), said["description"]) for name, said in dimension["columns"].items()}
    database = environment.curated_namespace
    name = f"{database}.{dimension['alias']}"
    parts = list(dimension["config"].get("partitioned_by") or [])
    yield _statement([f"-- {name}: made by dbt"], name, columns, parts, bucket, compression="zstd")
    listed = ",\n    ".join(columns)
    view = object_file.dimension.removesuffix("_scd") + "_current"
    head = f"-- {database}.{view}: made by dbt\nCREATE OR REPLACE VIEW {database}.{view} AS\nSELECT\n    {listed}"
    yield f"{head}\nFROM {name}\nWHERE is_current;\n"
    staging = models[f"stg_{object_file.table}"]["columns"]
    known = {said_name: kind for said_name, (kind, _) in columns.items()}
    snapshot = {column: (known.get(column) or _guess(column), "") for column in staging}
    snapshot |= {column: (kind, "") for column, kind in _SNAPSHOT.items()}
    name = f"{database}.{object_file.table}_snapshot"
    yield _statement([f"-- {name}: made by dbt's snapshot"], name, snapshot, [], bucket, compression="zstd")


def _guess(column: str) -> str:
    """The type of a staging column that the dimension does not have; they are named for what they hold."""
    return "timestamp" if column.endswith(("_date", "_at", "_modstamp")) else "string"


def _statement(
    notes: list[str], name: str, columns: dict[str, tuple[str, str]], parts: list[str], bucket: str, *, compression: str
) -> str:
    width = max(len(column) for column in columns)
    rows = [f"    {column:<{width}} {kind}{_comment(doc)}" for column, (kind, doc) in columns.items()]
    partitioned = f"PARTITIONED BY ({', '.join(parts)})\n" if parts else ""
    return (
        "\n".join(notes)
        + f"\nCREATE TABLE {name} (\n"
        + ",\n".join(rows)
        + f"\n)\n{partitioned}LOCATION '{bucket}/{name.replace('.', '/')}'\n"
        + f"TBLPROPERTIES ('table_type' = 'ICEBERG', 'format' = 'parquet', 'write_compression' = '{compression}');\n"
    )


def _comment(doc: str) -> str:
    line = " ".join(doc.split())
    escaped = line.replace("'", "''")
    return f" COMMENT '{escaped}'" if line else ""


def _part(transform: str, column: str) -> str:
    if transform == "identity":
        return column
    kind, _, size = transform.rstrip("]").partition("[")
    return f"{kind}({size}, {column})" if size else f"{kind}({column})"


def _athena(kind: IcebergType) -> str:
    said = {"timestamptz": "timestamp with time zone", "long": "bigint", "timestamp": "timestamp"}
    return said.get(str(kind), str(kind))


def _dbt_type(said: str) -> str:
    return _TYPES.get(said, said)


def _models() -> dict[str, dict[str, Any]]:
    if not MANIFEST.exists():
        raise DeployFailed("dbt's manifest is not there.", "Build it: make manifest.")
    nodes = json.loads(MANIFEST.read_text(encoding="utf-8"))["nodes"].values()
    return {node["name"]: node for node in nodes if node["resource_type"] == "model"}
