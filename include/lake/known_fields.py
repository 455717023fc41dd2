"""`sf_ops.known_fields`: what the org last showed of each object's fields, one row a field, so that drift is told once.

It is a memory, not a history: without it the next run takes what it sees for a first look, and tells nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField, StringType, TimestamptzType

from include.lake.conflicts import again_on_conflict
from include.lake.data_files import write_files
from include.lake.existence import ensure_table
from include.lake.one_commit import commit_once
from include.lake.tables import PROPERTIES
from include.staging.known_field import KnownField

log = logging.getLogger(__name__)

TABLE = "known_fields"

SCHEMA = Schema(
    NestedField(1, "object", StringType(), doc="API name of the object"),
    NestedField(2, "field", StringType(), doc="API name of the field, as the org spells it"),
    NestedField(3, "salesforce_type", StringType(), doc="type in the org's describe; '' where the org never showed it"),
    NestedField(4, "state", StringType(), doc="there or gone"),
    NestedField(5, "first_seen", TimestamptzType(), doc="when it appeared; null: at the first look, or never"),
    NestedField(6, "last_changed", TimestamptzType(), doc="when state or type changed last"),
)
_MOMENT = pa.timestamp("us", tz="UTC")
_ARROW = pa.schema(
    [
        *((name, pa.string()) for name in ("object", "field", "salesforce_type", "state")),
        *((name, _MOMENT) for name in ("first_seen", "last_changed")),
    ]
)


def read_known_fields(catalog: Catalog, namespace: str, object_name: str) -> dict[str, KnownField]:
    """What is known of an object's fields, by lower-cased name; empty before the first look.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables, `sf_ops`.
    :param object_name: API name of the object.
    """
    try:
        table = catalog.load_table(f"{namespace}.{TABLE}")
    except (NoSuchTableError, NoSuchNamespaceError):
        return {}
    everything = table.scan().to_arrow()
    return _fields(everything.filter(_about(everything, object_name)))


@again_on_conflict
def remember_fields(
    catalog: Catalog,
    namespace: str,
    object_name: str,
    look: Callable[[Mapping[str, KnownField]], Mapping[str, KnownField]],
) -> bool:
    """Bring what is known of an object's fields up to date, in one commit, if there is anything new.

    :param catalog: the Iceberg catalog.
    :param namespace: namespace of the operations tables; made if it is not there.
    :param object_name: API name of the object.
    :param look: what is known after a look, given what was known; asked again if another run was faster.
    :return: whether anything was new.
    """
    table = ensure_table(catalog, f"{namespace}.{TABLE}", "known_fields", SCHEMA, properties=PROPERTIES)
    everything = table.scan().to_arrow().cast(_ARROW)
    about = _about(everything, object_name)
    before = _fields(everything.filter(about))
    after = look(before)
    if after == before:
        return False
    ours = pa.Table.from_pylist([{"object": object_name, **asdict(known)} for known in after.values()], _ARROW)
    others = everything.filter(pc.invert(about))
    # A few hundred rows an object: they are one file, and stay one.
    commit_once(
        table,
        added=write_files(table, pa.concat_tables([others, ours])),
        removed=[task.file for task in table.scan().plan_files()],
    )
    log.info("%s: %d fields are known now", object_name, ours.num_rows)
    return True


def _about(rows: pa.Table, object_name: str) -> pa.ChunkedArray:
    """Which rows are an object's, however its file spells it."""
    return pc.equal(pc.utf8_lower(rows.column("object")), object_name.lower())


def _fields(rows: pa.Table) -> dict[str, KnownField]:
    found = (KnownField(**row) for row in rows.drop_columns(["object"]).to_pylist())
    return {known.field.lower(): known for known in found}
