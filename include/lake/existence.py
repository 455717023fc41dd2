"""How namespaces and tables come into being: what is there is used as it is, and nothing is made twice.

Looking comes first. Glue would write a table's first metadata before it says that the table is there, and leave it
behind; and a role that may not create databases needs none of that right where they are there.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER, SortOrder

from include.lake.denied import denial
from include.lake.layout import NEW_TABLE, Role, bring_up_to_date


class NamespaceUnfit(RuntimeError):
    """A namespace is missing or has no location, and a person has to see to it."""


def ensure_namespace(catalog: Catalog, namespace: str) -> None:
    """Create a namespace unless it is there. May run twice at once.

    :param catalog: the Iceberg catalog.
    :param namespace: its name.
    :raises NamespaceUnfit: when it is not there, and may not be made.
    """
    if catalog.namespace_exists(namespace):
        return
    try:
        catalog.create_namespace(namespace)
    except NamespaceAlreadyExistsError:
        return
    except Exception as problem:  # SqlCatalog lets the database's own integrity error through when two create at once
        if catalog.namespace_exists(namespace):
            return
        if denial(problem) is not None:
            raise NamespaceUnfit(
                f"there is no database {namespace}, and the role may not make it ({problem}). Make it with a location "
                "(the CloudFormation stack does), or give the role glue:CreateDatabase. If the "
                "database has another name, set SF_HISTORY_RAW_NAMESPACE, SF_HISTORY_CURATED_NAMESPACE or "
                "SF_HISTORY_OPERATIONS_NAMESPACE."
            ) from problem
        raise


def ensure_table(
    catalog: Catalog,
    identifier: str,
    role: Role,
    schema: Schema | pa.Schema,
    *,
    spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC,
    sort_order: SortOrder = UNSORTED_SORT_ORDER,
    properties: Mapping[str, str] = NEW_TABLE,
) -> Table:
    """A table, created unless it is there, with its namespace. May run twice at once.

    :param catalog: the Iceberg catalog.
    :param identifier: `namespace.table`.
    :param role: what it is for.
    :param schema: its columns.
    :param spec: its partitioning.
    :param sort_order: how its files are sorted.
    :param properties: of a new one.
    :raises LayoutTooNew: when a later release has changed it.
    :raises NamespaceUnfit: when the namespace is not there and may not be made, or says not where its tables go.
    """
    try:
        return bring_up_to_date(catalog.load_table(identifier), role)
    except (NoSuchTableError, NoSuchNamespaceError):
        ensure_namespace(catalog, identifier.rpartition(".")[0])
    try:
        table = catalog.create_table(
            identifier, schema, partition_spec=spec, sort_order=sort_order, properties=dict(properties)
        )
    except TableAlreadyExistsError:
        table = catalog.load_table(identifier)
    except ValueError as problem:
        if "No default path" not in str(problem):
            raise
        namespace = identifier.rpartition(".")[0]
        raise NamespaceUnfit(
            f"{identifier} cannot be made: the database {namespace} has no location, and the Iceberg connection no "
            f"warehouse. Nothing was made. Give the database one (in Glue its LocationUri, such as "
            f"s3://my-raw-bucket/{namespace}), or add to the connection's extra "
            '"warehouse": "s3://my-raw-bucket"; tables that are there already stay where they are.'
        ) from problem
    return bring_up_to_date(table, role)
