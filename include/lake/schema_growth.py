"""How a table's columns follow the object file and the org: they are added and widened, never dropped or narrowed.

Done by pyiceberg alone: a column that DuckDB adds after one was dropped makes the table unreadable.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyiceberg.table import Table
from pyiceberg.types import DoubleType, FloatType, IcebergType, IntegerType, LongType, NestedField, StringType

log = logging.getLogger(__name__)

#: Note on a column whose field the org has never shown: its type is a guess, and it holds nothing but nulls.
UNSEEN = "not shown by the org when the column was made; the type is provisional"

#: (type in the table, type in the org): the table's type becomes the org's.
_WIDENS = {(IntegerType(), LongType()), (FloatType(), DoubleType())}
#: (type in the table, type in the org): the values fit as they are.
_HOLDS = {
    (LongType(), IntegerType()),
    (DoubleType(), FloatType()),
    (DoubleType(), IntegerType()),
    (DoubleType(), LongType()),
}

_Columns = list[tuple[str, IcebergType | None]]


class IncompatibleColumn(ValueError):
    """A field has a type in the org that its column in the lake cannot take."""


def grow(table: Table, columns: Mapping[str, IcebergType | None]) -> bool:
    """Add the columns that a table lacks, and widen those that became wider (int to long, float to double).

    :param table: the loaded table; it is refreshed by the commit.
    :param columns: name → type; None: the type is not known, whatever the table has is right.
    :return: whether the schema changed.
    :raises IncompatibleColumn: naming table, column, both types and the remedy; nothing is changed then.
    :raises CommitFailedException: when another writer changed the schema at the same time.
    """
    growth = _growth(table, columns)
    if not any(growth):
        return False
    added, widened, settled, confirmed = growth
    with table.update_schema() as update:
        for name, wanted in widened:
            update.update_column(name, field_type=wanted)
        for name, _ in confirmed:
            # From now on it may hold values, and another type must not replace it.
            update.update_column(name, doc="")
        for name, _ in settled:
            update.delete_column(name)
        for name, wanted in (*settled, *added):
            update.add_column(name, wanted or StringType(), doc=None if wanted else UNSEEN)
    log.info(
        "%s: columns added: %s; widened: %s; type settled: %s",
        ".".join(table.name()),
        *(", ".join(name for name, _ in names) or "none" for names in (added, widened, [*settled, *confirmed])),
    )
    return True


def refuse_incompatible(table: Table, columns: Mapping[str, IcebergType | None]) -> None:
    """Refuse what `grow` would refuse, without changing anything.

    :param table: the loaded table.
    :param columns: name → type; None: the type is not known.
    :raises IncompatibleColumn: naming table, column, both types and the remedy.
    """
    _growth(table, columns)


def _growth(table: Table, columns: Mapping[str, IcebergType | None]) -> tuple[_Columns, _Columns, _Columns, _Columns]:
    """What is to be added, widened, given the type that turned out to be right, and left with it for good."""
    present = {field.name: field for field in table.schema().fields}
    added: _Columns = []
    widened: _Columns = []
    settled: _Columns = []
    confirmed: _Columns = []
    for name, wanted in columns.items():
        field = present.get(name)
        if field is None:
            added.append((name, wanted))
        elif field.doc == UNSEEN and field.field_type == wanted:
            confirmed.append((name, wanted))
        elif wanted is None or field.field_type == wanted or (field.field_type, wanted) in _HOLDS:
            continue
        elif (field.field_type, wanted) in _WIDENS:
            widened.append((name, wanted))
        elif field.doc == UNSEEN:
            settled.append((name, wanted))
        else:
            raise _incompatible(table, field, wanted)
    return added, widened, settled, confirmed


def _incompatible(table: Table, field: NestedField, wanted: IcebergType) -> IncompatibleColumn:
    return IncompatibleColumn(
        f"{'.'.join(table.name())}: column {field.name} is {field.field_type} in the lake, but the org now says "
        f"{wanted}, and Iceberg cannot turn one into the other (int to long and float to double are possible). "
        "Nothing was written. Change the field's type back in Salesforce; or give the field another API name there "
        "and list that one in the object file, so that the old column keeps the old values."
    )
