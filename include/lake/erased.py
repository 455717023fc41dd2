"""The register of erasures, `sf_ops.erasures`: who must not be in the lake, known by a digest and by nothing else.

A digest is SHA-256 of the org's id and the record's Id. It tells a record that arrives whether it was erased; it tells
a reader of the table nothing that the Id itself does not say already.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from include.lake.conflicts import again_on_conflict
from include.lake.data_files import write_files
from include.lake.existence import ensure_table
from include.lake.one_commit import commit_once
from include.lake.tables import arrow_schema
from include.salesforce.ids import to_18

TABLE = "erasures"

#: Where rows are removed from, in this order; each has a column with a count.
PLACES = ("staged", "changes", "mirror", "quarantine", "dimension", "snapshot")

_MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("object", pa.string()),
        ("id_digest", pa.string()),
        ("requested_at", _MOMENT),
        ("completed_at", _MOMENT),
        ("run_id", pa.string()),
        *((f"{place}_rows", pa.int64()) for place in PLACES),
    ]
)


class InvalidIds(ValueError):
    """What was given is not a list of Salesforce Ids. The message names the place in the list, not the value."""


def canonical_ids(given: Iterable[Any]) -> tuple[str, ...]:
    """Ids in their 18-character form, each once, in the order given.

    :param given: Ids of 15 or 18 characters.
    :raises InvalidIds: for the first that is none. An Id whose last three characters do not fit the others was
        mistyped, or something has changed its capitals: whom it means is not certain.
    """
    found: dict[str, None] = {}
    for place, identity in enumerate(given, start=1):
        try:
            whole = to_18(identity)
        except (TypeError, ValueError):
            raise InvalidIds(
                f"Id number {place} is not a Salesforce Id: 15 or 18 letters and digits are expected, such as "
                "0055e0000000001AAA. Nothing was touched."
            ) from None
        if to_18(whole[:15]) != whole:
            raise InvalidIds(
                f"Id number {place} is mistyped: its last three characters do not fit the first fifteen. Copy it again "
                "from Salesforce, capitals as they are. Nothing was touched."
            )
        found[whole] = None
    return tuple(found)


def id_digest(org_id: str, identity: str) -> str:
    """By what an erased record is known.

    :param org_id: 18-character id of the org.
    :param identity: 18-character Id of the record.
    """
    return hashlib.sha256(f"{org_id}|{identity}".encode()).hexdigest()


@dataclass(frozen=True)
class ErasedIds:
    """The erased records of an object. Costs nothing where there are none.

    :param org_id: 18-character id of the org.
    :param digests: of the records.
    """

    org_id: str
    digests: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.digests)

    def among(self, ids: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Which Ids are those of erased records.

        :param ids: any texts; what is no Id is not erased.
        :return: a flag an Id.
        """
        if not self.digests:
            return pa.array([False] * len(ids), pa.bool_())
        return pa.array([self._holds(identity) for identity in ids.to_pylist()], pa.bool_())

    def without(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch that may be kept.

        :param batch: with a column `id`.
        """
        if not self.digests:
            return batch
        flags = [not self._holds(identity) for identity in batch.column("id").to_pylist()]
        return batch if all(flags) else batch.filter(pa.array(flags, pa.bool_()))

    def _holds(self, identity: str | None) -> bool:
        try:
            return identity is not None and id_digest(self.org_id, to_18(identity)) in self.digests
        except ValueError:
            return False


def read_erased(catalog: Catalog, namespace: str, *, object_name: str, org_id: str) -> ErasedIds:
    """The records of an object that were erased, or are being erased.

    :param catalog: the Iceberg catalog.
    :param namespace: of the operations tables, `sf_ops`.
    :param object_name: API name of the object.
    :param org_id: 18-character id of the org.
    """
    rows = _of(object_name, _rows(_find(catalog, namespace)))
    return ErasedIds(org_id, frozenset(row["id_digest"] for row in rows))


def unfinished(catalog: Catalog, namespace: str, *, object_name: str) -> frozenset[str]:
    """Digests of erasures that were begun and have not got to their end.

    :param catalog: the Iceberg catalog.
    :param namespace: of the operations tables.
    :param object_name: API name of the object.
    """
    rows = _of(object_name, _rows(_find(catalog, namespace)))
    return frozenset(row["id_digest"] for row in rows if row["completed_at"] is None)


@again_on_conflict
def record_request(
    catalog: Catalog, namespace: str, *, object_name: str, digests: Sequence[str], run_id: str, requested_at: datetime
) -> frozenset[str]:
    """Record that records are erased from now on. Those that are recorded already stay as they are.

    :param digests: of the records.
    :param run_id: of the run or command that asks.
    :param requested_at: when (UTC).
    :return: the digests that were not recorded before.
    """
    table = ensure_table(catalog, f"{namespace}.{TABLE}", "erasures", SCHEMA)
    rows = _rows(table)
    known = {row["id_digest"] for row in _of(object_name, rows)}
    fresh = [digest for digest in digests if digest not in known]
    if fresh:
        nothing: dict[str, Any] = {f"{place}_rows": 0 for place in PLACES}
        row = {"object": object_name.lower(), "requested_at": requested_at, "run_id": run_id, **nothing}
        _replace(table, [*rows, *({**row, "id_digest": digest} for digest in fresh)])
    return frozenset(fresh)


@again_on_conflict
def record_progress(
    catalog: Catalog,
    namespace: str,
    *,
    object_name: str,
    removed: Mapping[str, Counter[str]],
    completed: Iterable[str] = (),
    completed_at: datetime | None = None,
) -> None:
    """Add what was removed to what is recorded.

    :param removed: place → rows removed by digest.
    :param completed: digests whose erasure is done.
    :param completed_at: when (UTC). One that was completed before keeps its time.
    """
    completed = frozenset(completed)
    touched = completed.union(*removed.values())
    if not touched:
        return
    table = catalog.load_table(f"{namespace}.{TABLE}")
    rows = _rows(table)
    for row in _of(object_name, rows):
        if row["id_digest"] in touched:
            for place, counts in removed.items():
                row[f"{place}_rows"] = (row[f"{place}_rows"] or 0) + counts[row["id_digest"]]
            if row["id_digest"] in completed:
                row["completed_at"] = row["completed_at"] or completed_at
    _replace(table, rows)


def _find(catalog: Catalog, namespace: str) -> Table | None:
    try:
        return catalog.load_table(f"{namespace}.{TABLE}")
    except (NoSuchTableError, NoSuchNamespaceError):
        return None


def _rows(table: Table | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.scan().to_arrow().to_pylist() if table is not None else []
    return rows


def _of(object_name: str, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Salesforce does not tell `user` from `User`, and neither must who was erased depend on it."""
    return [row for row in rows if row["object"].lower() == object_name.lower()]


def _replace(table: Table, rows: list[dict[str, Any]]) -> None:
    """In one file, which stays one. A conflict is planned again by the callers, so that nobody is recorded twice."""
    commit_once(
        table,
        added=write_files(table, pa.Table.from_pylist(rows, arrow_schema(table))),
        removed=[task.file for task in table.scan().plan_files()],
    )
