"""Rows that are against rows that should be: what differs, record by record, told so that a person sees why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.oracle.shapes import Row, Shape

Rows = Sequence[Mapping[str, Any]]


def differences(shape: Shape, actual: Iterable[Mapping[str, Any]], expected: Iterable[Mapping[str, Any]]) -> list[str]:
    """What differs between two dimensions, a text for each record; empty if nothing does.

    `_dbt_updated_at` is not compared; moments without a zone are UTC.
    """
    are, should = _by_record(shape, actual), _by_record(shape, expected)
    return [
        _told(shape, record, are[record], should[record])
        for record in sorted(set(are) | set(should))
        if are[record] != should[record]
    ]


def mirror_differences(
    shape: Shape,
    actual: Mapping[str, Mapping[str, Any]],
    expected: Mapping[str, Row],
    known: Mapping[str, frozenset[str]],
) -> list[str]:
    """What differs between two mirrors.

    :param known: record → columns that its last observation observed; only they are compared.
    """
    found = [f"{record}: not in the mirror" for record in sorted(set(expected) - set(actual))]
    found += [f"{record}: should not be in the mirror" for record in sorted(set(actual) - set(expected))]
    for record in sorted(set(actual) & set(expected)):
        for column in shape.columns:
            if column not in known[record]:
                continue
            is_, should = _plain(actual[record][column]), _plain(expected[record][column])
            if is_ != should:
                found.append(f"{record}.{column}: is {is_!r}, should be {should!r}")
    return found


def report(found: Sequence[str], *, first: int = 3) -> str:
    """The first few differences, and how many there are."""
    return f"{len(found)} records differ\n" + "\n".join(found[:first])


def _by_record(shape: Shape, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row[shape.id]].append({name: _plain(row[name]) for name in shape.dimension_columns})
    for versions in found.values():
        versions.sort(key=lambda row: (row["effective_from"], row["_scd_id"]))
    return found


def _plain(value: Any) -> Any:
    if value == "":
        return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    return value


def _told(shape: Shape, record: str, are: Rows, should: Rows) -> str:
    return "\n".join([record, "  is:", *_timeline(shape, are), "  should be:", *_timeline(shape, should)])


def _timeline(shape: Shape, rows: Rows) -> list[str]:
    left_out = {shape.id, "_scd_id", shape.key}
    shown = [name for name in shape.dimension_columns if name not in left_out]
    return [
        "    " + " ".join(f"{name}={_shown(row[name])}" for name in shown) + f" {row['_scd_id'][:6]}" for row in rows
    ] or ["    no versions"]


def _shown(value: Any) -> str:
    return value.replace(tzinfo=None).isoformat(sep=" ") if isinstance(value, datetime) else repr(value)
