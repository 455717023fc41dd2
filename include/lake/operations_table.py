"""A table of `sf_ops` that gains a few rows a run: written under a key, so that a run that writes again replaces them.

Rows gather in a small file until it is full, so that files and manifests stay few however many runs there were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, Not

from include.lake.conflicts import again_on_conflict
from include.lake.data_files import KeyedFile, equal_to, read_file, write_files
from include.lake.existence import ensure_table
from include.lake.layout import NEW_TABLE, Role
from include.lake.one_commit import commit_once

#: Rows of a file that takes in no more.
FILE_ROWS = 1_000


@again_on_conflict
def put_rows(
    catalog: Catalog,
    identifier: str,
    *,
    role: Role,
    schema: pa.Schema,
    key: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write the rows of a key; those that were there under it go.

    :param identifier: `namespace.table`; it is made if it is missing.
    :param role: the table's role in include/lake/layout.py.
    :param schema: the table's columns. Those that a layout added come last, where Iceberg puts them.
    :param key: text columns and their values, which make rows those of one writer.
    :param rows: values by column; what is missing is null.
    :raises ValueError: for a column that the table does not have.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    name = identifier.rpartition(".")[2]
    if unknown := sorted({column for row in rows for column in row} - set(schema.names)):
        raise ValueError(f"{name} has no column {', '.join(unknown)}; it has {', '.join(schema.names)}")
    # Rows are found by the bounds of their key, which Iceberg would cut off after 16 characters.
    bounds = {f"write.metadata.metrics.column.{column}": "full" for column in key}
    table = ensure_table(catalog, identifier, role, schema, properties={**NEW_TABLE, **bounds})
    ours = of_key(key)
    files = {task.file.file_path: KeyedFile(task, None, None) for task in table.scan().plan_files()}
    near = {task.file.file_path for task in table.scan(row_filter=ours).plan_files()}
    replaced = {path: files[path] for path in near if read_file(table, files[path], list(key), ours).num_rows}
    small = [path for path, file in files.items() if file.rows < FILE_ROWS]
    if small:
        tail = min(small, key=lambda path: files[path].rows)
        replaced[tail] = files[tail]
    kept = [read_file(table, file, row_filter=Not(ours)) for file in replaced.values()]
    values = [{column: row.get(column) for column in schema.names} for row in rows]
    new = pa.Table.from_pylist(values, schema=schema)
    commit_once(
        table,
        added=write_files(table, pa.concat_tables([*(old.cast(schema) for old in kept), new])),
        removed=[file.task.file for file in replaced.values()],
    )


def read_rows(
    catalog: Catalog, identifier: str, *, schema: pa.Schema, key: Mapping[str, str] | None = None
) -> pa.Table:
    """Rows of a table, in no order; none where the table is not there. An older layout's lack is null.

    :param identifier: `namespace.table`.
    :param schema: the columns that are wanted, as this release has them.
    :param key: only rows with these values.
    """
    try:
        table = catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        return schema.empty_table()
    there = [name for name in schema.names if name in set(table.schema().column_names)]
    rows = table.scan(row_filter=of_key(key or {}), selected_fields=tuple(there)).to_arrow()
    columns = [
        rows[field.name].cast(field.type) if field.name in there else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def of_key(key: Mapping[str, str]) -> BooleanExpression:
    """The filter of a key's rows.

    :param key: text columns and their values.
    """
    matches: BooleanExpression = AlwaysTrue()
    for column, value in key.items():
        matches = And(matches, equal_to(column, value))
    return matches
