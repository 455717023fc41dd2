"""How Salesforce's field types are kept: one mapping to Arrow types, used by extraction, staging and Iceberg alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

#: Column type → Arrow type. Salesforce datetimes are UTC with one-second resolution; kept at microseconds.
COLUMN_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "boolean": pa.bool_(),
    "long": pa.int64(),
    "double": pa.float64(),
}

_BY_SALESFORCE_TYPE = {
    "datetime": "timestamptz",
    "date": "date",
    "boolean": "boolean",
    "int": "long",
    "long": "long",
    "double": "double",
    "currency": "double",
    "percent": "double",
}

#: What the fields that every object shares are, for an org that does not show one of them.
_SHARED_COLUMNS = {
    "createddate": "timestamptz",
    "lastmodifieddate": "timestamptz",
    "systemmodstamp": "timestamptz",
    "isdeleted": "boolean",
}

#: Types whose values are not one value: compound fields and blobs. Bulk API 2.0 refuses them.
UNREADABLE_TYPES = frozenset({"address", "location", "base64", "complexvalue"})


def column_type(salesforce_type: str) -> str:
    """How a field of this type is kept.

    :param salesforce_type: `type` in the describe result.
    :return: a key of `COLUMN_TYPES`; everything that is not a number, a date or a flag is a string.
    """
    return _BY_SALESFORCE_TYPE.get(salesforce_type, "string")


def staged_schema(columns: Sequence[str], column_types: Mapping[str, str]) -> pa.Schema:
    """Schema of staged Parquet: the source columns in the object file's order, all nullable.

    :param columns: `ObjectFile.columns`.
    :param column_types: column → key of `COLUMN_TYPES`, for the fields that are read. The type of a field that the org
        does not show is known only for those that every object shares; any other is staged as an all-null string.
    """
    return pa.schema(
        [(name, COLUMN_TYPES[column_types.get(name) or _SHARED_COLUMNS.get(name, "string")]) for name in columns]
    )
