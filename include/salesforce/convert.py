"""From what Salesforce sends to Arrow columns of exact types; REST's JSON and Bulk's CSV end in the same schema.

An empty string is kept as REST says it; Bulk cannot tell it from null and says null. Text that is not UTF-8 (half of a
surrogate pair, which JSON can spell) becomes U+FFFD: Parquet could not hold it. An Id of 15 characters becomes the
one of 18 that it is short for, in lookups as well: a record never stands beside itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.config.object_file import ObjectFile
from include.salesforce.errors import UnexpectedSchema
from include.salesforce.ids import ID_PATTERN, to_18
from include.staging.columns import COLUMN_TYPES, staged_schema
from include.staging.manifest import FieldPlan, ReadPlan

_DELETED = "isdeleted"
_FLAGS = {"true": True, "false": False}
_ID_TYPES = frozenset({"id", "reference"})
_SHORT, _LONG = 15, 18


def schema_of(plan: ReadPlan, object_file: ObjectFile) -> pa.Schema:
    """Schema of the Parquet that a plan is staged as.

    :param plan: what is read.
    :param object_file: whose columns are staged.
    """
    return staged_schema(object_file.columns, {field.column: field.column_type for field in plan.fields})


def from_json(records: Sequence[Mapping[str, Any]], *, plan: ReadPlan, schema: pa.Schema) -> pa.RecordBatch:
    """Records of a REST answer as one batch.

    :param records: as Salesforce sent them.
    :param plan: what was selected.
    :param schema: from `schema_of`.
    :raises UnexpectedSchema: when a record lacks a selected field or a value is not of its field's type.
    """
    columns = {field.column: _column(records, field, plan.object) for field in plan.fields}
    return assemble(columns, plan=plan, rows=len(records), schema=schema)


def assemble(columns: Mapping[str, pa.Array], *, plan: ReadPlan, rows: int, schema: pa.Schema) -> pa.RecordBatch:
    """A batch of the staged schema from the columns that were read.

    :param columns: column → values. A column that is not among them is null; isdeleted is then false.
    :param plan: what was selected.
    :param rows: number of rows.
    :param schema: from `schema_of`.
    """
    ids = [field.column for field in plan.fields if field.salesforce_type in _ID_TYPES]
    columns = {**columns, **{name: full_ids(columns[name]) for name in ids}}
    filled = []
    for field in schema:
        if field.name in columns:
            filled.append(columns[field.name])
        elif field.name == _DELETED:
            filled.append(_all_false(rows))
        else:
            filled.append(pa.nulls(rows, field.type))
    return pa.RecordBatch.from_arrays(filled, schema=schema)


def _all_false(rows: int) -> pa.Array:
    # Not pa.repeat: making a scalar loads pandas, which is a third of a second and 50 MB for nothing.
    return pa.Array.from_buffers(pa.bool_(), rows, [None, pa.py_buffer(bytes(rows // 8 + 1))])


def full_ids(ids: pa.Array) -> pa.Array:
    """Ids in their form of 18 characters; what is no Id stays as it is, for validation to reject by name.

    :param ids: strings.
    """
    if pc.min(pc.binary_length(ids)).as_py() == _LONG:  # nearly always; and it loads less than what follows
        return ids
    short = pc.fill_null(pc.equal(pc.utf8_length(ids), _SHORT), False)
    if not pc.any(short).as_py():
        return ids
    short = pc.and_(short, pc.fill_null(pc.match_substring_regex(ids, ID_PATTERN), False))
    return pc.replace_with_mask(ids, short, pa.array(map(to_18, ids.filter(short).to_pylist()), ids.type))


def _column(records: Sequence[Mapping[str, Any]], field: FieldPlan, object_name: str) -> pa.Array:
    try:
        values = [record[field.name] for record in records]
    except KeyError:
        raise UnexpectedSchema(f"{object_name}.{field.name} was selected but is not in Salesforce's answer.") from None
    try:
        return _typed(values, field.column_type)
    except (ValueError, TypeError, OverflowError):
        # One by one, to be able to name the value.
        for value in values:
            try:
                _typed([value], field.column_type)
            except (ValueError, TypeError, OverflowError):
                raise UnexpectedSchema(
                    f"{object_name}.{field.name} is of type {field.salesforce_type}, but Salesforce sent {value!r:.80}."
                ) from None
        raise


def _typed(values: list[Any], column_type: str) -> pa.Array:
    kept = COLUMN_TYPES[column_type]
    if column_type == "string":
        return _strings(values)
    if column_type in {"timestamptz", "date"}:
        return pc.cast(pa.array([value or None for value in values], pa.string()), kept)
    if column_type == "boolean":
        return pa.array([_flag(value) for value in values], kept)
    if column_type == "long":
        return pa.array([_whole(value) for value in values], kept)
    return pa.array([_fraction(value) for value in values], kept)


def _strings(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([_encodable(value) for value in values], pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([_encodable(_text(value)) for value in values], pa.string())


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _encodable(value: str | None) -> str | None:
    # A pair that JSON spelled as two escapes has been joined by the parser; what is left stands alone.
    return None if value is None else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _flag(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and (value == "" or value.lower() in _FLAGS):
        return _FLAGS.get(value.lower())
    raise ValueError(value)


def _whole(value: Any) -> int | None:
    if value is None or value == "":
        return None
    number = float(value) if isinstance(value, str) and not value.lstrip("-").isdigit() else value
    if isinstance(number, bool) or int(number) != float(number):
        raise ValueError(value)
    return int(number)


def _fraction(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise ValueError(value)
    return float(value)
