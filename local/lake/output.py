"""Rows of a query as CSV, JSON or a table on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

FORMATS = ("table", "csv", "json")

#: Rows that a table on the terminal shows; CSV and JSON give all.
SHOWN_ROWS = 1000
_BATCH = 10_000


class Result(Protocol):
    """A statement that was executed: DuckDB's connection, or a cursor of any engine."""

    @property
    def description(self) -> Any:
        """The columns; each begins with its name."""

    def fetchmany(self, size: int, /) -> list[Any]:
        """Some more rows."""


def write_rows(result: Result, form: str, out: TextIO) -> None:
    """Write the rows of an executed query.

    :param result: a statement that was executed.
    :param form: one of `FORMATS`.
    :param out: where to.
    """
    columns = [column[0] for column in result.description or []]
    if form == "csv":
        _write_csv(columns, result, out)
    elif form == "json":
        _write_json(columns, result, out)
    else:
        _write_table(columns, result, out)


def _rows(result: Result) -> Iterator[tuple[Any, ...]]:
    while batch := result.fetchmany(_BATCH):
        yield from batch


def _write_csv(columns: Sequence[str], result: Result, out: TextIO) -> None:
    """RFC 4180 with the line ends of Unix tools. Null is empty, an empty string is quoted: they stay apart."""
    out.write(",".join(_field(name) for name in columns) + "\n")
    for row in _rows(result):
        # A line of one null would be blank, which readers skip.
        line = ",".join(_field(_text(value)) for value in row)
        out.write((line or '""') + "\n")


def _field(value: str | None) -> str:
    if value is None:
        return ""
    if value == "" or any(character in value for character in ',"\r\n'):
        return '"' + value.replace('"', '""') + '"'
    return value


def _write_json(columns: Sequence[str], result: Result, out: TextIO) -> None:
    separator = "["
    for row in _rows(result):
        values = {name: _plain(value) for name, value in zip(columns, row, strict=True)}
        out.write(f"{separator}\n  {json.dumps(values, ensure_ascii=False)}")
        separator = ","
    out.write("[]\n" if separator == "[" else "\n]\n")


def _write_table(columns: Sequence[str], result: Result, out: TextIO) -> None:
    # Where output goes to a file or a pipe nothing says how wide it is.
    console = Console(file=out, width=None if out.isatty() else 200)
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    rows = result.fetchmany(SHOWN_ROWS)
    for row in rows:
        table.add_row(*(Text("∅", style="dim") if value is None else Text(_text(value) or "") for value in row))
    console.print(table)
    rest = sum(1 for _ in _rows(result)) if len(rows) == SHOWN_ROWS else 0
    note = f" of {len(rows) + rest:,}; FORMAT=csv gives all" if rest else ""
    console.print(f"{len(rows):,} row{'' if len(rows) == 1 else 's'}{note}", style="dim")


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    return _text(value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return moment.isoformat(sep=" ")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple | dict):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value)
