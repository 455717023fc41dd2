"""The quarantine as the page shows it: what was refused, why, and how to bring it in."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from include.page.answers import BadRequest, moment
from include.page.cursor import read_cursor, write_cursor
from include.page.lake import ObjectLake
from include.page.snapshot_cache import SnapshotCache
from include.quality.listing import STATES, Entry, Listing, list_quarantine
from include.quality.quarantine_table import find_quarantine
from include.quality.rules import kinds_of

#: So much of an Id records are sorted by.
_LONGEST_ID = 100

_Key = tuple[int, int, str, str]


@dataclass(frozen=True, kw_only=True)
class QuarantineView:
    """Lists an object's quarantine.

    :param lake: of the object.
    :param cache: keeps the listing until the quarantine, the mirror or the rules change.
    """

    lake: ObjectLake
    cache: SnapshotCache

    def show(self, *, reason: str | None, state: str | None, page: str | None, limit: int) -> dict[str, Any]:
        """One page of it: those that wait for somebody first, then the newest first.

        :param reason: only records that broke this rule; those that were replayed since only where `state` says so.
        :param state: only records in this state.
        :param page: cursor of an earlier answer.
        :param limit: most records.
        :raises BadRequest: for a state that there is not.
        """
        if state is not None and state not in STATES:
            raise BadRequest(
                f"state is {state!r:.80}: allowed are {', '.join(STATES)}.", remedy="Choose one of the states."
            )
        after = read_cursor("quarantine", page, state=int, seen=int, id=str, record=str) if page else None
        place = (after["state"], after["seen"], after["id"], after["record"]) if after else None
        listing = self._listing()
        entries = [
            entry
            for entry in listing.entries
            if (state is None or entry.state == state) and (reason is None or _broke(entry, reason, state))
        ]
        keyed = sorted(((_key(entry), entry) for entry in entries), key=lambda one: one[0])
        shown = [(key, entry) for key, entry in keyed if place is None or key > place][: limit + 1]
        following = None
        if len(shown) > limit:
            shown = shown[:limit]
            state_rank, seen, identity, record = shown[-1][0]
            following = write_cursor(
                "quarantine", {"state": state_rank, "seen": seen, "id": identity, "record": record}
            )
        return {
            "entries": [_spelled(entry) for _, entry in shown],
            "next": following,
            "total": len(entries),
            "reasons": listing.reasons,
            "states": listing.states,
        }

    def _listing(self) -> Listing:
        table = find_quarantine(self.lake.catalog, self.lake.tables.quarantine)
        if table is None:
            return Listing(table=self.lake.tables.quarantine)
        mirror = self.lake.mirror()
        snapshot = mirror.current_snapshot() if mirror else None
        return self.cache.of(
            table,
            "listing",
            lambda: list_quarantine(
                catalog=self.lake.catalog, object_file=self.lake.object_file, environment=self.lake.environment
            ),
            size=lambda made: sum(1_000 + 2 * len(entry.record) for entry in made.entries),
            also=(snapshot.snapshot_id if snapshot else None, self.lake.object_file.model_dump_json()),
        )


def _broke(entry: Entry, reason: str, state: str | None) -> bool:
    return reason in kinds_of(entry.reasons) and (entry.state != "replayed" or state == "replayed")


def _key(entry: Entry) -> _Key:
    seen = -round(entry.last_seen.timestamp() * 1_000_000)
    digest = sha256(entry.record.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    # What stands where an Id should may be of any length; it goes into a cursor.
    return STATES.index(entry.state), seen, (entry.identity or "")[:_LONGEST_ID], digest


def _spelled(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.identity,
        "reasons": entry.reasons,
        "state": entry.state,
        "first_seen": moment(entry.first_seen),
        "last_seen": moment(entry.last_seen),
        "times_seen": entry.times_seen,
        "note": entry.note,
        "record": entry.record,
    }
