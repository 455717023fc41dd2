"""How Salesforce's field types are kept: one mapping to Arrow types, used by extraction, staging and Iceberg alike."""

from __future__ import annotations

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

#: Types whose values are not one value: compound fields and blobs. Bulk API 2.0 refuses them.
UNREADABLE_TYPES = frozenset({"address", "location", "base64", "complexvalue"})


def column_type(salesforce_type: str) -> str:
    """How a field of this type is kept.

    :param salesforce_type: `type` in the describe result.
    :return: a key of `COLUMN_TYPES`; everything that is not a number, a date or a flag is a string.
    """
    return _BY_SALESFORCE_TYPE.get(salesforce_type, "string")
