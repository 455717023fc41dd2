"""Results as Athena has them: text for every value, a page at a time, and the same as a file on S3."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.athena.answers import Result, Text

Row = Sequence[str | None]

_PRECISION = {
    "bigint": 19,
    "integer": 10,
    "smallint": 5,
    "tinyint": 3,
    "double": 17,
    "real": 17,
    "boolean": 0,
    "date": 0,
}


def rows_of(result: Result) -> list[Row]:
    """Values as text.

    :param result: of Trino.
    """
    kinds = [kind for _, kind in result.columns]
    return [[_shown(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in result.rows]


def file_of(result: Result | Text, rows: Sequence[Row]) -> tuple[str, bytes]:
    """Ending and content of the file that Athena leaves on S3.

    :param result: what the statement gave.
    :param rows: its values as text.
    """
    if isinstance(result, Text):
        return "txt", "".join(f"{line}\n" for line in result.lines).encode()
    written = io.StringIO()
    lines = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n")
    lines.writerow([name for name, _ in result.columns])
    for row in rows:
        # An empty field is null, a quoted empty one is ''.
        fields = ["" if value is None else '"' + value.replace('"', '""') + '"' for value in row]
        written.write(",".join(fields) + "\n")
    return "csv", written.getvalue().encode()


def page_of(result: Result | Text, rows: Sequence[Row], *, first: int, size: int) -> Mapping[str, Any]:
    """GetQueryResults: rows from a place on; the first of all is the header.

    :param result: what the statement gave.
    :param rows: its values as text.
    :param first: where the page begins, the header counted.
    :param size: rows of a page at most.
    """
    if isinstance(result, Text):
        columns: list[dict[str, Any]] = [_column("result", "varchar")] if result.lines else []
        everything: list[Row] = [[line] for line in result.lines]
    else:
        columns = [_column(name, kind) for name, kind in result.columns]
        everything = [[name for name, _ in result.columns], *rows] if result.updated is None else []
    answer: dict[str, Any] = {
        "UpdateCount": 0 if isinstance(result, Text) else result.updated or 0,
        "ResultSet": {
            "Rows": [
                {"Data": [{} if value is None else {"VarCharValue": value} for value in row]}
                for row in everything[first : first + size]
            ],
            "ResultSetMetadata": {"ColumnInfo": columns},
        },
    }
    if first + size < len(everything):
        answer["NextToken"] = str(first + size)
    return answer


def _column(name: str, kind: str) -> dict[str, Any]:
    numbers = [int(number) for number in re.findall(r"\d+", kind)]
    base = re.sub(r"\(.*?\)", "", kind).strip()
    base = re.match(r"[a-z ]+", base)[0].strip() if re.match(r"[a-z ]+", base) else base  # type: ignore[index]
    precision = numbers[0] if numbers else _PRECISION.get(base, 2147483647 if base == "varchar" else 0)
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": {"real": "float"}.get(base, base),
        "Precision": precision,
        "Scale": numbers[1] if base == "decimal" and len(numbers) > 1 else 0,
        "Nullable": "UNKNOWN",
        "CaseSensitive": base == "varchar",
    }


def _shown(value: Any, kind: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind.startswith("varbinary"):
        return base64.b64decode(value).hex(" ")
    if isinstance(value, list):
        return "[" + ", ".join(_nested(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={_nested(one)}" for name, one in value.items()) + "}"
    return str(value)


def _nested(value: Any) -> str:
    return "null" if value is None else str(_shown(value, ""))
