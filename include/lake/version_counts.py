"""What a run did to a dimension, told from the Iceberg snapshots before and after it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table


@dataclass(frozen=True, kw_only=True)
class VersionCounts:
    """Versions of a dimension.

    :param opened: versions that were not there before.
    :param closed: versions that were current before and are not any more.
    :param deleted: current versions that say "deleted" and did not before. These three are None where the earlier
        snapshot has been expired meanwhile (by an erasure, say): nobody knows then.
    :param versions: versions afterwards.
    :param current: records afterwards (one current version each), deleted ones included.
    :param live: those of them that are not deleted.
    """

    opened: int | None
    closed: int | None
    deleted: int | None
    versions: int
    current: int
    live: int


def current_snapshot_id(catalog: Catalog, identifier: str) -> int | None:
    """Id of a table's current snapshot; None while the table does not exist or is empty.

    :param identifier: `namespace.table`.
    """
    table = _load(catalog, identifier)
    snapshot = table.current_snapshot() if table else None
    return snapshot.snapshot_id if snapshot else None


def count_versions(catalog: Catalog, identifier: str, *, before: int | None) -> VersionCounts:
    """Compare a dimension with itself at an earlier snapshot. Reads three narrow columns of each.

    :param identifier: `namespace.table` of the dimension.
    :param before: snapshot id to compare with; None: the dimension did not exist then.
    """
    table = _load(catalog, identifier)
    now = _versions(table, None) if table else _nothing()
    if table and before is not None and table.snapshot_by_id(before) is None:
        current = now.filter(now["is_current"])
        return VersionCounts(
            opened=None, closed=None, deleted=None, versions=now.num_rows, current=current.num_rows, live=_live(current)
        )
    then = _versions(table, before) if table and before is not None else _nothing()
    current_then = then.filter(then["is_current"])
    current_now = now.filter(now["is_current"])
    return VersionCounts(
        opened=_only_in(now, then),
        closed=_only_in(current_then, current_now),
        deleted=_only_in(
            current_now.filter(current_now["is_deleted"]), current_then.filter(current_then["is_deleted"])
        ),
        versions=now.num_rows,
        current=current_now.num_rows,
        live=_live(current_now),
    )


def _live(current: pa.Table) -> int:
    return current.num_rows - (pc.sum(current["is_deleted"]).as_py() or 0)


def _load(catalog: Catalog, identifier: str) -> Table | None:
    try:
        return catalog.load_table(identifier)
    except NoSuchTableError:
        return None


def _versions(table: Table, snapshot_id: int | None) -> pa.Table:
    if table.current_snapshot() is None:
        return _nothing()
    return table.scan(selected_fields=("_scd_id", "is_current", "is_deleted"), snapshot_id=snapshot_id).to_arrow()


def _nothing() -> pa.Table:
    return pa.table(
        {
            "_scd_id": pa.array([], pa.string()),
            "is_current": pa.array([], pa.bool_()),
            "is_deleted": pa.array([], pa.bool_()),
        }
    )


def _only_in(left: pa.Table, right: pa.Table) -> int:
    keys, others = left["_scd_id"].cast(pa.string()), right["_scd_id"].cast(pa.string())
    return left.num_rows - (pc.sum(pc.is_in(keys, value_set=others.combine_chunks())).as_py() or 0)
