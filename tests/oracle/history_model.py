"""From the observations of a record to its versions: a slowly changing dimension of type 2."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tests.oracle.log_model import Log, Observation
from tests.oracle.shapes import Row, Shape, Value


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one observation did to what is known of its record.

    :param before: known values before it; None for the first.
    :param after: known values with it.
    :param changed: columns that open a version; empty if it opens none. All of them for the first.
    """

    observation: Observation
    before: Row | None
    after: Row
    changed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version.

    :param opened_by: the step that opened it.
    :param values: known values as of its last observation.
    :param effective_from: start, inclusive.
    :param rule: which rule gave the start: `LastModifiedDate`, `SystemModstamp`, `window end` or `plus 1 us`.
    """

    opened_by: Step
    values: Row
    effective_from: datetime
    rule: str


def steps(shape: Shape, observations: Sequence[Observation]) -> Iterator[Step]:
    """Walk a record's observations in order.

    A version opens where a tracked column or isdeleted differs from what was known. Unknown is not null: a column that
    an observation lacks keeps its value, and one that was never known before differs from nothing.
    """
    before: Row | None = None
    for one in observations:
        seen = {name: value for name, value in one.values.items() if name in one.observed}
        if before is None:
            changed: tuple[str, ...] = (*shape.tracked, "isdeleted")
        else:
            known = before
            changed = tuple(
                name
                for name in (*shape.tracked, "isdeleted")
                if name in seen and name in known and seen[name] != known[name]
            )
        after: Row = {**(before or {}), **seen}
        yield Step(observation=one, before=before, after=after, changed=changed)
        before = after


def versions(shape: Shape, observations: Sequence[Observation]) -> list[Version]:
    """Versions of one record, oldest first."""
    found: list[Version] = []
    for step in steps(shape, observations):
        if step.changed:
            start, rule = _start(step.observation, found[-1].effective_from if found else None)
            found.append(Version(opened_by=step, values=step.after, effective_from=start, rule=rule))
        else:
            last = found.pop()
            found.append(
                Version(opened_by=last.opened_by, values=step.after, effective_from=last.effective_from, rule=last.rule)
            )
    return found


def _start(one: Observation, previous: datetime | None) -> tuple[datetime, str]:
    candidates: tuple[tuple[str, Value], ...] = (
        ("LastModifiedDate", one.values["lastmodifieddate"]),
        ("SystemModstamp", one.values["systemmodstamp"]),
        ("window end", one.window_end),
    )
    for rule, at in candidates:
        if isinstance(at, datetime) and (previous is None or at > previous):
            return at, rule
    assert previous is not None
    return previous + timedelta(microseconds=1), "plus 1 us"


def scd_id(record: str, effective_from: datetime) -> str:
    """Name of a version: md5 of record and start."""
    # Not strftime: its %Y has one digit in the year 1.
    start = effective_from.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    text = f"{record}|{start}Z"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def dimension_of(shape: Shape, observations: Sequence[Observation]) -> list[dict[str, object]]:
    """Rows of one record in the dimension, oldest first."""
    found = versions(shape, observations)
    ends = [one.effective_from for one in found[1:]] + [None]
    rows: list[dict[str, object]] = []
    for one, end in zip(found, ends, strict=True):
        record = one.opened_by.observation.id
        name = scd_id(record, one.effective_from)
        rows.append(
            {
                shape.key: int(name[:15], 16),
                shape.id: record,
                **{new: one.values.get(old) for old, new in shape.attributes.items()},
                "update_date": one.opened_by.observation.values["lastmodifieddate"],
                "effective_from": one.effective_from,
                "effective_to": end,
                "is_current": end is None,
                "is_deleted": one.values["isdeleted"],
                "_scd_id": name,
            }
        )
    return rows


def dimension(log: Log) -> list[dict[str, object]]:
    """The whole dimension, by record and start."""
    return [row for known in log.by_record().values() for row in dimension_of(log.shape, known)]
