"""What is in the quarantine, for people: one entry a record, however often it was refused, and what may be done."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.conflicts import again_if_gone
from include.lake.data_files import SortedIds
from include.lake.names import RawTables
from include.lake.placement import locate
from include.quality.quarantine_table import find_quarantine
from include.quality.rejudge import Rejudgement, Verdict
from include.quality.rules import kinds_of

State = Literal["can be replayed", "open", "cannot be replayed", "replayed"]

#: A record that was refused more than once has the first of these states that one of its rows has.
STATES: tuple[State, ...] = ("can be replayed", "open", "cannot be replayed", "replayed")

_STATE_OF: dict[str, State] = {
    "accepted": "can be replayed",
    "refused": "open",
    "unplaceable": "cannot be replayed",
    "replayed": "replayed",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A record that was refused.

    :param identity: its Id as Salesforce sent it; None: it had none.
    :param state: `open`: the present rules would refuse it again.
    :param reasons: why it was refused the last time.
    :param first_seen: when it was first put into the quarantine.
    :param last_seen: when it was last.
    :param times_seen: how often.
    :param note: what else is known of it, in words.
    :param record: the record as JSON, as it was refused the last time.
    """

    identity: str | None
    state: State
    reasons: str
    first_seen: datetime
    last_seen: datetime
    times_seen: int
    note: str
    record: str


@dataclass(frozen=True, kw_only=True)
class Listing:
    """A quarantine, told to people.

    :param table: its qualified name.
    :param entries: the records that wait for somebody first, then the newest first.
    """

    table: str
    entries: tuple[Entry, ...] = ()

    @property
    def states(self) -> dict[State, int]:
        """State → records."""
        counted = Counter(entry.state for entry in self.entries)
        return {state: counted[state] for state in STATES if counted[state]}

    @property
    def reasons(self) -> dict[str, int]:
        """Rule → records that broke it the last time and were not replayed since."""
        waiting = (entry for entry in self.entries if entry.state != "replayed")
        return dict(Counter(kind for entry in waiting for kind in kinds_of(entry.reasons)).most_common())


@again_if_gone
def list_quarantine(*, catalog: Catalog, object_file: ObjectFile, environment: Environment) -> Listing:
    """Say what is in an object's quarantine, and what would become of it now. Writes nothing.

    Memory: one entry a record.

    :param catalog: the Iceberg catalog.
    :param object_file: the rules, as they are now.
    :param environment: names the tables.
    :raises LayoutTooNew: when a later release has changed the table.
    """
    tables = RawTables.of(object_file, environment)
    quarantine = find_quarantine(catalog, tables.quarantine)
    if quarantine is None:
        return Listing(table=tables.quarantine)
    known: dict[tuple[str | None, str | None], _Record] = {}
    judged = Rejudgement(quarantine=quarantine, catalog=catalog, tables=tables, object_file=object_file)
    for part in judged.parts():
        rows = part.rows.select(["id", "record", "reasons", "_quarantined_at"]).to_pylist()
        for row, verdict in zip(rows, part.verdicts, strict=True):
            # Without an Id nothing but the record itself says which one it is.
            key = (row["id"], None if row["id"] else row["record"])
            known.setdefault(key, _Record()).see(row, verdict)
    since = _accepted_since(catalog, tables, object_file, known.values())
    entries = [record.entry(since.get(record.identity or "")) for record in known.values()]
    entries.sort(key=lambda entry: (-entry.last_seen.timestamp(), entry.identity or "", entry.record))
    entries.sort(key=lambda entry: STATES.index(entry.state))
    return Listing(table=tables.quarantine, entries=tuple(entries))


@dataclass
class _Record:
    """What the rows of one record say together."""

    latest: dict[str, Any] = field(default_factory=dict)
    judged: Verdict = field(default_factory=lambda: Verdict(outcome="replayed"))
    first_seen: datetime | None = None
    times: int = 0

    @property
    def identity(self) -> str | None:
        """The record's Id."""
        found: str | None = self.latest["id"]
        return found

    def see(self, row: dict[str, Any], verdict: Verdict) -> None:
        """Take one of its rows into account."""
        moment = row["_quarantined_at"]
        self.times += 1
        self.first_seen = moment if self.first_seen is None else min(self.first_seen, moment)
        if not self.latest or moment >= self.latest["_quarantined_at"]:
            self.latest = row
        if self.times == 1 or _rank(verdict) <= _rank(self.judged):
            self.judged = verdict

    def entry(self, since: str | None) -> Entry:
        """The record as people see it."""
        latest, judged = self.latest, self.judged
        notes = [since] if since else []
        if judged.outcome == "unplaceable":
            notes.append(judged.why)
        elif judged.outcome == "refused" and judged.why != latest["reasons"]:
            notes.append(f"by the present rules: {judged.why}")
        return Entry(
            identity=latest["id"],
            state=_STATE_OF[judged.outcome],
            reasons=latest["reasons"],
            first_seen=(self.first_seen or latest["_quarantined_at"]).astimezone(UTC),
            last_seen=latest["_quarantined_at"].astimezone(UTC),
            times_seen=self.times,
            note="; ".join(notes),
            record=latest["record"],
        )


def _rank(verdict: Verdict) -> int:
    return STATES.index(_STATE_OF[verdict.outcome])


def _accepted_since(
    catalog: Catalog, tables: RawTables, object_file: ObjectFile, records: Iterable[_Record]
) -> dict[str, str]:
    """Id → what the mirror has learned of it after it was refused the last time."""
    if not catalog.table_exists(tables.mirror):
        return {}
    by_id = {record.identity: record for record in records if record.identity}
    mirror = catalog.load_table(tables.mirror)
    ids = pa.array(sorted(by_id), pa.string())
    names = {"lastmodifieddate", object_file.cursor_column} & set(mirror.schema().column_names)
    placement = locate(mirror, SortedIds(ids), ("id", "isdeleted", "_extracted_at", *sorted(names)))
    cursors = pc.coalesce(*(placement.values(name) for name in sorted(names, reverse=True)))
    found: dict[str, str] = {}
    columns = (placement.values("isdeleted"), placement.values("_extracted_at"), cursors)
    for identity, deleted, extracted_at, cursor in zip(
        ids.to_pylist(), *(column.to_pylist() for column in columns), strict=True
    ):
        row = by_id[identity].latest
        known = _cursor(row["record"], object_file.cursor_column)
        newer = cursor > known if cursor and known else extracted_at and extracted_at > row["_quarantined_at"]
        if newer:
            found[identity] = "deleted in Salesforce since" if deleted else "mended in Salesforce: a newer state is in"
    return found


def _cursor(record: str, cursor: str) -> datetime | None:
    try:
        stored = json.loads(record)
        return datetime.fromisoformat(stored.get(cursor) or stored["lastmodifieddate"]).astimezone(UTC)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
