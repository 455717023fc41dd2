"""The rules that records are judged by, a batch at a time: by validate, and by a replay of the quarantine."""

from __future__ import annotations

import json
import re
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
_NOT_ORDERED = "duplicate Id: two states with the same"
#: Reasons that hold a record's own values → the rule they stand for.
_WITH_VALUES = (
    (re.compile(r"^Id is malformed: .* is not 15 or 18 letters and digits", re.DOTALL), "Id is malformed"),
    (re.compile(r"(\w+) (?=['\"\d-]|datetime).*? is shared with \w+(?=$|; )", re.DOTALL), r"\1 is not unique"),
)


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


@dataclass(frozen=True, kw_only=True)
class Taken:
    """Values of a column that should be unique, and are held by more than one Id.

    :param column: the column.
    :param name: its field's API name.
    :param first: value → the Id that may keep it.
    :param last: value → another of its Ids, where nobody may keep it; None: the first one may.
    """

    column: str
    name: str
    first: Mapping[Any, str]
    last: Mapping[Any, str] | None = None

    def failures(self, batch: pa.RecordBatch) -> Failures:
        """Rows whose value somebody else holds.

        :param batch: staged rows.
        """
        sentences = {}
        pairs = zip(batch.column(_ID).to_pylist(), batch.column(self.column).to_pylist(), strict=True)
        for row, (identity, value) in enumerate(pairs):
            holder = self.first.get(value, identity)
            if holder == identity and self.last is not None:
                holder = self.last.get(value, identity)
            if holder != identity:
                sentences[row] = f"{self.name} {value!r:.120} is shared with {holder}"
        flags = [row in sentences for row in range(batch.num_rows)]
        return Failures(kind=f"{self.name} is not unique", rows=pa.array(flags, pa.bool_()), sentences=sentences)


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
    required = {name.lower(): name for name in object_file.required}
    required.pop(_ID, None)
    failures = [
        Failures(kind=f"{item.name} is missing", rows=_missing(batch.column(item.column)))
        for item in plan.fields
        if required.pop(item.column, None)
    ]
    # check_source stops a run that cannot read a required field; an older run may have had no need of it.
    unread = pa.repeat(pa.scalar(True), batch.num_rows)
    return failures + [Failures(kind=f"{name} was not read", rows=unread) for name in required.values()]


def field_failures(
    batch: pa.RecordBatch, plan: ReadPlan, object_file: ObjectFile, taken: Iterable[Taken]
) -> list[Failures]:
    """Records whose values break a rule of the object file.

    :param batch: staged rows, one an Id.
    :param plan: what was read.
    :param object_file: the rules.
    :param taken: values that more than one Id has.
    """
    return required_failures(batch, plan, object_file) + [one.failures(batch) for one in taken if one.first]


def unordered(rows: pa.BooleanArray, plan: ReadPlan) -> Failures:
    """States of an Id that could not be put in order against the one that was kept.

    :param rows: one flag a row.
    :param plan: what was read.
    """
    return Failures(kind=f"{_NOT_ORDERED} {plan.cursor}", rows=rows)


def was_unordered(reasons: str) -> bool:
    """Whether a record was refused because another state of its Id, with the same cursor, was kept.

    :param reasons: as the quarantine holds them.
    """
    return reasons.startswith(_NOT_ORDERED)


def kinds_of(reasons: str) -> list[str]:
    """The rules that a refused record broke, in words and without its values: what the counts are kept by.

    :param reasons: as the quarantine holds them.
    """
    for pattern, kind in _WITH_VALUES:
        reasons = pattern.sub(kind, reasons)
    return reasons.split("; ")


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
