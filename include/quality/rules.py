"""The rules that one record can be judged by on its own, applied to a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.config.object_file import ObjectFile
from include.salesforce.ids import ID_PATTERN
from include.staging.manifest import ReadPlan

_ID = "id"
_MODIFIED = "lastmodifieddate"


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Rows of a batch that broke a rule.

    :param kind: the rule in words, the same for every row: what the counts are kept by.
    :param rows: one flag a row.
    :param sentences: row → the reason with the row's own values, where it says more than `kind`.
    """

    kind: str
    rows: pa.BooleanArray
    sentences: Mapping[int, str] = field(default_factory=dict)

    def reason(self, row: int) -> str:
        """The reason why a row failed, in words.

        :param row: its position in the batch.
        """
        return self.sentences.get(row, self.kind)


def identity_failures(batch: pa.RecordBatch, plan: ReadPlan) -> list[Failures]:
    """Records that cannot be told apart or put in order: no well-formed Id, no cursor, no LastModifiedDate.

    :param batch: staged rows.
    :param plan: what was read.
    """
    ids = batch.column(_ID)
    missing = _missing(ids)
    malformed = pc.and_(pc.invert(missing), pc.invert(well_formed(ids)))
    failures = [
        Failures(kind="Id is missing", rows=missing),
        Failures(
            kind="Id is malformed",
            rows=malformed,
            sentences={
                row: f"Id is malformed: {ids[row].as_py()!r:.80} is not 15 or 18 letters and digits"
                for row in positions(malformed)
            },
        ),
    ]
    spelled = {item.column: item.name for item in plan.fields}
    for column in dict.fromkeys((plan.cursor.lower(), _MODIFIED)):
        if column in spelled:
            kind = f"{spelled[column]} is missing: the record cannot be put in order"
            failures.append(Failures(kind=kind, rows=_missing(batch.column(column))))
    return failures


def required_failures(batch: pa.RecordBatch, plan: ReadPlan, object_file: ObjectFile) -> list[Failures]:
    """Records without a value where the object file requires one; the empty string is none.

    :param batch: staged rows.
    :param plan: what was read.
    :param object_file: whose `required` counts.
    """
    required = {name.lower() for name in object_file.required} - {_ID}
    return [
        Failures(kind=f"{item.name} is missing", rows=_missing(batch.column(item.column)))
        for item in plan.fields
        if item.column in required
    ]


def well_formed(ids: pa.Array) -> pa.BooleanArray:
    """Whether each Id is one that Salesforce could have made; null is not.

    :param ids: strings.
    """
    return pc.fill_null(pc.match_substring_regex(ids, ID_PATTERN), False)


def positions(flags: pa.BooleanArray) -> list[int]:
    """Positions of the rows whose flag is set.

    :param flags: one flag a row, no nulls.
    """
    return pc.indices_nonzero(flags).to_pylist()


def any_of(failures: Iterable[Failures], rows: int) -> pa.BooleanArray:
    """Rows that broke at least one rule.

    :param failures: by rule.
    :param rows: rows in the batch.
    """
    combined = pa.repeat(pa.scalar(False), rows)
    for failure in failures:
        combined = pc.or_(combined, failure.rows)
    return combined


def record_json(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    """A record as people read it in the quarantine table: source columns in their order, datetimes in ISO 8601 UTC.

    :param row: column → value.
    :param columns: which columns.
    """
    return json.dumps({name: _plain(row[name]) for name in columns}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    return value.isoformat() if isinstance(value, date) else value


def _missing(values: pa.Array) -> pa.BooleanArray:
    if pa.types.is_string(values.type):
        return pc.fill_null(pc.equal(values, ""), True)
    return pc.is_null(values)
