"""What the mirror remembers about itself: table properties, set in the same commit as the data they speak of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from include.lake.names import RawTables
from include.staging.manifest import Window

WATERMARK = "sf-history.watermark"
LAST_FULL_REFRESH = "sf-history.last-full-refresh"
ORG_ID = "sf-history.org-id"
NEWEST_WINDOW_END = "sf-history.newest-window-end"
APPLIED_CHANGES_SNAPSHOT = "sf-history.applied-changes-snapshot"
#: Of log, mirror and quarantine: the last erasure. Whoever planned before it plans again.
ERASURE = "sf-history.erasure"

#: In the summary of a snapshot: its rows. The counts that an engine writes there do not say, once rows were replaced.
ROWS = "sf-history.rows"

#: All of them. A commit to the mirror requires that none has moved since it was planned.
STATE_PROPERTIES = (WATERMARK, LAST_FULL_REFRESH, ORG_ID, NEWEST_WINDOW_END, APPLIED_CHANGES_SNAPSHOT, ERASURE)


class ForeignOrg(RuntimeError):
    """The connection leads to another org than the one this lake belongs to."""


@dataclass(frozen=True, kw_only=True)
class LakeState:
    """What is known before anything is read.

    :param watermark: the cursor (UTC) up to which nothing is missing; None before the first load.
    :param last_full_refresh: window end (UTC) of the last complete refresh.
    :param org_id: 18-character id of the org that the lake belongs to.
    :param newest_window_end: newest `_window_end` (UTC) among the log rows that the mirror holds.
    :param applied_changes_snapshot: snapshot of the changes log up to which the mirror has applied it.
    :param rows: rows of the mirror, deleted ones included.
    """

    watermark: datetime | None = None
    last_full_refresh: datetime | None = None
    org_id: str | None = None
    newest_window_end: datetime | None = None
    applied_changes_snapshot: int | None = None
    rows: int = 0

    @property
    def is_empty(self) -> bool:
        """There is no mirror, or it has no rows: whatever run comes reads everything."""
        return self.rows == 0

    @classmethod
    def of(cls, mirror: Table) -> Self:
        """The state that a mirror holds.

        :param mirror: the loaded table.
        """
        properties = mirror.properties
        applied = properties.get(APPLIED_CHANGES_SNAPSHOT)
        return cls(
            watermark=_moment(properties, WATERMARK),
            last_full_refresh=_moment(properties, LAST_FULL_REFRESH),
            org_id=properties.get(ORG_ID),
            newest_window_end=_moment(properties, NEWEST_WINDOW_END),
            applied_changes_snapshot=int(applied) if applied else None,
            rows=row_count(mirror),
        )

    def may_delete(self, window: Window) -> bool:
        """Whether a read of this window can prove that a record is gone: nothing newer has been seen.

        :param window: the run's window.
        """
        known = (self.watermark, self.last_full_refresh)
        return window.full_refresh and all(moment is None or window.end >= moment for moment in known)

    def advanced_by(self, window: Window, covered_until: datetime | None = None) -> datetime | None:
        """The watermark after a run. It moves to the window's end if the window leaves no gap, and never back.

        :param window: the run's window.
        :param covered_until: cursor up to which the read misses nothing, late commits included; None: the window's end.
        """
        end = window.end if covered_until is None else min(window.end, covered_until)
        if window.start is None:
            return later_of(self.watermark, end)
        if self.watermark is not None and window.start <= self.watermark:
            return later_of(self.watermark, end)
        return self.watermark


def read_lake_state(catalog: Catalog, tables: RawTables) -> LakeState:
    """The state of an object's lake, from metadata alone; a lake that is not there yet is empty.

    :param catalog: the Iceberg catalog.
    :param tables: the object's tables.
    """
    try:
        return LakeState.of(catalog.load_table(tables.mirror))
    except (NoSuchTableError, NoSuchNamespaceError):
        return LakeState()


def refuse_foreign_org(state: LakeState, *, org_id: str, table: str) -> None:
    """A lake belongs to one org; the first one that filled it.

    :param state: what the lake remembers.
    :param org_id: 18-character id of the org that the connection leads to.
    :param table: the object's table, for the message.
    :raises ForeignOrg: with both ids.
    """
    if state.org_id is not None and state.org_id != org_id:
        raise ForeignOrg(
            f"{table} holds the history of org {state.org_id}, but the connection leads to org {org_id}. "
            "Their records would be mixed beyond repair, so nothing was read or written. Point the Salesforce "
            "connection back to the first org, or give the other one namespaces of its own "
            "(SF_HISTORY_RAW_NAMESPACE, SF_HISTORY_CURATED_NAMESPACE)."
        )


def row_count(table: Table) -> int:
    """Rows of a table, without reading data unless another engine has left position deletes in it.

    :param table: the loaded table.
    """
    snapshot = table.current_snapshot()
    if snapshot is None:
        return 0
    if snapshot.summary and (said := snapshot.summary[ROWS]):
        return int(said)
    total = snapshot.summary["total-records"] if snapshot.summary else None
    deletes = snapshot.summary["total-position-deletes"] if snapshot.summary else None
    if total is None or int(deletes or 0) > 0:
        return table.scan().count()
    return int(total)


def later_of(one: datetime | None, other: datetime | None) -> datetime | None:
    """The later of two moments; None is before everything.

    :param one: a moment, or None.
    :param other: a moment, or None.
    """
    return max((moment for moment in (one, other) if moment is not None), default=None)


def written(moment: datetime) -> str:
    """A moment as the properties hold it: ISO 8601, UTC, microseconds.

    :param moment: with a time zone.
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(properties: Mapping[str, str], name: str) -> datetime | None:
    text = properties.get(name)
    return datetime.fromisoformat(text) if text else None
