"""One record: its versions as the dimension has them, and what was observed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.page.answers import BadRequest, NotThere, moment, plain
from include.page.columns import Columns
from include.page.lake import ObjectLake
from include.page.links import Links
from include.page.observations import ObservationReader, Observations, spelled
from include.page.snapshot_cache import SnapshotCache
from include.page.table_reading import One, TablePlan
from include.salesforce.ids import to_18


@dataclass(frozen=True, kw_only=True)
class RecordView:
    """Shows one record.

    :param lake: of the object.
    :param cache: what earlier requests have read.
    :param links: where a person clicks.
    """

    lake: ObjectLake
    cache: SnapshotCache
    links: Links

    def show(self, identity: str, *, site: str | None) -> dict[str, Any]:
        """The record, with the first of its observations.

        :param identity: Id of 15 or 18 characters.
        :param site: where the org is; None: not known.
        :raises NotThere: if neither the dimension nor the log knows it.
        """
        identity = known_id(identity)
        columns = Columns(self.lake.object_file)
        # In this order: an observation that a run publishes meanwhile is pending, not in a version that is not shown.
        found = self._reader.read(identity)
        versions = self._versions(identity, columns)
        observations = self._spelled(found, versions)
        if not versions and not observations:
            self.lake.known_dimension()
            raise NotThere(
                f"{self.lake.object_file.object} {identity} is not in the history.",
                remedy="Search for it by name. A record that was never read, or was erased, has no history.",
            )
        latest = versions[-1] if versions else None
        return {
            "id": identity,
            "object": self.lake.object_file.object,
            "name": latest["name"] if latest else observations[-1]["values"].get("name"),
            "salesforce_url": f"{site}/{identity}" if site else None,
            "tracked": list(columns.tracked),
            "versions": versions,
            "observations": observations,
            "observations_next": found.next,
            "pending": found.pending,
        }

    def observations(self, identity: str, page: str) -> dict[str, Any]:
        """More of its observations.

        :param identity: Id of 15 or 18 characters.
        :param page: cursor of an earlier answer.
        """
        identity = known_id(identity)
        found = self._reader.read(identity, page)
        versions = self._versions(identity, Columns(self.lake.object_file))
        return {"observations": self._spelled(found, versions), "next": found.next, "pending": found.pending}

    @property
    def _reader(self) -> ObservationReader:
        return ObservationReader(lake=self.lake, cache=self.cache)

    def _spelled(self, found: Observations, versions: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return spelled(found, [version["scd_id"] for version in versions], self.lake.object_file, self.links)

    def _versions(self, identity: str, columns: Columns) -> list[dict[str, Any]]:
        table = self.lake.dimension()
        if table is None or table.current_snapshot() is None:
            return []
        wanted = (
            columns.key, columns.identity, columns.name, columns.active, *columns.tracked, "update_date",
            "effective_from", "effective_to", "is_current", "is_deleted", "_scd_id",
        )  # fmt: skip
        names = columns.there(wanted, table.schema().column_names)
        plan = TablePlan.of(table, self.cache, key=columns.identity)
        one = One(column=columns.identity, value=identity)
        rows = [row for piece in plan.read(names, one=one) for row in piece.to_pylist()]
        rows.sort(key=lambda row: row["effective_from"] or datetime.min)
        versions: list[dict[str, Any]] = []
        for row in rows:
            versions.append(_version(row, columns, versions[-1] if versions else None))
        return versions


def known_id(identity: str) -> str:
    """An Id in its 18-character form.

    :param identity: as it stands in the address.
    :raises BadRequest: if it is none.
    """
    try:
        return to_18(identity)
    except ValueError as problem:
        raise BadRequest(f"id: {problem}.", remedy="Search for the record by name.") from None


def _version(row: dict[str, Any], columns: Columns, before: dict[str, Any] | None) -> dict[str, Any]:
    values = {name: plain(row.get(name)) for name in columns.tracked}
    changed = [name for name in columns.tracked if before is not None and values[name] != before["values"][name]]
    deleted = bool(row["is_deleted"])
    if before is not None and deleted != before["is_deleted"]:
        changed.append("is_deleted")
    return {
        "effective_from": moment(row["effective_from"]),
        "effective_to": moment(row["effective_to"]),
        "is_current": bool(row["is_current"]),
        "is_deleted": deleted,
        "is_active": row.get(columns.active) if columns.active else None,
        "update_date": moment(row["update_date"]),
        "name": row.get(columns.name) if columns.name else None,
        "values": values,
        "changed": changed,
        "returned": bool(before is not None and before["is_deleted"] and not deleted),
        "scd_id": row["_scd_id"],
        # A number of 60 bits: JavaScript's own would round it.
        "user_key": str(row[columns.key]),
    }
