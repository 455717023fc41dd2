"""Tables to upsert into: made as the product makes a mirror, opened in a catalog of their own for each measurement."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform

from bench.upsert_data import BUCKETS, ORG, START, Prepared, TableShape, object_columns, pieces
from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.lake.data_files import FILE_BYTES, write_files
from include.lake.names import RawTables
from include.lake.one_commit import commit_once
from include.lake.tables import PROPERTIES, arrow_schema, ensure_tables
from include.lake.watermark import LAST_FULL_REFRESH, NEWEST_WINDOW_END, ORG_ID, WATERMARK, written

_STATE = {
    ORG_ID: ORG,
    WATERMARK: written(START),
    LAST_FULL_REFRESH: written(START),
    NEWEST_WINDOW_END: written(START),
}


def object_file_of(wide: bool) -> ObjectFile:
    """The user's object file, or one with the columns of a large object.

    :param wide: which.
    """
    found = read_object_files()["user"]
    fields = tuple(name for name in object_columns(wide) if name not in {field.lower() for field in found.fields})
    fields = tuple(name for name in fields if name != "isdeleted")
    return found.model_copy(update={"fields": (*found.fields, *fields)})


def environment_of(folder: Path) -> Environment:
    """A local environment.

    :param folder: of the lake.
    """
    return current_environment({"SF_HISTORY_LAKE": str(folder)})


def new_catalog(folder: Path) -> SqlCatalog:
    """A catalog of one's own.

    :param folder: where to.
    """
    return SqlCatalog("bench", uri=f"sqlite:///{folder / 'catalog.db'}", warehouse=f"file://{folder / 'warehouse'}")


@contextmanager
def opened(found: Prepared) -> Iterator[tuple[SqlCatalog, Environment, Table]]:
    """A catalog in which the prepared table is the mirror, as it was made; gone afterwards.

    :param found: what was prepared.
    """
    with tempfile.TemporaryDirectory() as scratch:
        environment = environment_of(Path(scratch))
        tables = RawTables.of(object_file_of(found.table.wide), environment)
        catalog = new_catalog(Path(scratch))
        catalog.create_namespace(environment.raw_namespace)
        try:
            yield catalog, environment, catalog.register_table(tables.mirror, found.made.metadata)
        finally:
            found.clean()


def make_table(folder: Path, shape: TableShape) -> str:
    """Make a table as a first load leaves it.

    :param folder: where to.
    :param shape: which.
    :return: where its metadata is.
    """
    with tempfile.TemporaryDirectory() as scratch:
        environment = environment_of(Path(scratch))
        catalog = new_catalog(Path(scratch))
        object_file = object_file_of(shape.wide)
        tables = ensure_tables(catalog, object_file, environment, dict(object_columns(shape.wide)))
        like = catalog.load_table(tables.mirror)
        bucket = PartitionField(
            source_id=like.schema().find_field("id").field_id,
            field_id=1000,
            transform=BucketTransform(BUCKETS),
            name="id_bucket",
        )
        table = catalog.create_table(
            f"{environment.raw_namespace}.made",
            like.schema(),
            location=f"file://{folder / 'table'}",
            partition_spec=PartitionSpec(bucket) if shape.bucketed else PartitionSpec(),
            sort_order=like.sort_order(),
            properties={**PROPERTIES, **like.properties},
        )
        schema = arrow_schema(table)
        gathered: list[pa.Table] = []
        added = []
        # What is written at once is divided among the buckets, so that their files are as full as the other table's.
        divided = BUCKETS if shape.bucketed else 1
        for piece in pieces(shape):
            gathered.append(piece.select(schema.names).cast(schema))
            if sum(rows.nbytes for rows in gathered) >= BUCKETS * FILE_BYTES:
                added += write_files(table, pa.concat_tables(gathered), file_bytes=divided * FILE_BYTES)
                gathered = []
        if gathered:
            added += write_files(table, pa.concat_tables(gathered), file_bytes=divided * FILE_BYTES)
        commit_once(table, added=added, properties=_STATE)
        return str(table.metadata_location)
