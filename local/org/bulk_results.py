"""The CSV result of a Bulk job, as a file.

Beside it lie the offsets of its records (8 bytes each), so that any part can be sent without being parsed.
"""

from __future__ import annotations

import csv
import itertools
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from local.org import timestamps
from local.org.schema import ID_TYPES, TEXT_TYPES, Field

DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
_CHUNK = 1 << 18
_LINES = 1 << 13
_OFFSET = 8
_IN_SQL = TEXT_TYPES | ID_TYPES | {"boolean", "date", "datetime"}
_MOST_IN_SQL = 200


def _csv_formatter(field: Field) -> Callable[[Any], Any]:
    def boolean(value: Any) -> str:
        return "true" if value else "false"

    def moment(value: Any) -> str:
        return "" if value is None else timestamps.bulk(value)

    def plain(value: Any) -> Any:
        return value

    def real(value: Any) -> Any:
        return float(value) if isinstance(value, int) else value

    kinds = {"boolean": boolean, "datetime": moment, "double": real, "currency": real, "percent": real}
    return kinds.get(field.type, plain)


def csv_line(
    fields: Sequence[Field], *, delimiter: str, line_ending: str
) -> Callable[[Callable[[Field], str]], str] | None:
    """Return what makes one SQL expression of a record's line, the same that csv.writer would write.

    :param fields: the columns.
    :param delimiter: a key of DELIMITERS.
    :param line_ending: a key of LINE_ENDINGS.
    :returns: a function of what gives the SQL of a field; None if SQLite writes such values otherwise (numbers), or the
        expression would be too deep for it.
    """
    if len(fields) > _MOST_IN_SQL or not {field.type for field in fields} <= _IN_SQL:
        return None
    between = f"""'"{DELIMITERS[delimiter]}"'"""

    def line(expression: Callable[[Field], str]) -> str:
        values = f" || {between} || ".join(_csv_sql(field, expression(field)) for field in fields)
        ending = " || ".join(f"char({ord(sign)})" for sign in LINE_ENDINGS[line_ending])
        return f"""'"' || {values} || '"' || {ending}"""

    return line


def _csv_sql(field: Field, value: str) -> str:
    if field.type == "boolean":
        return f"iif({value}, 'true', 'false')"
    if field.type == "datetime":
        return f"coalesce(strftime('%Y-%m-%dT%H:%M:%S.000Z', {value}, 'unixepoch'), '')"
    return f"""replace(coalesce({value}, ''), '"', '""')"""


class _Lines:
    """A file for csv.writer that hands each line back."""

    def write(self, text: str) -> str:
        return text


class ResultFile:
    """A job's result.

    :param folder: where results are kept.
    :param job_id: the job's Id.
    """

    def __init__(self, folder: Path, job_id: str) -> None:
        self._data = folder / f"{job_id}.csv"
        self._index = folder / f"{job_id}.offsets"

    def write(self, fields: Sequence[Field], rows: Iterable[Sequence[Any]], *, delimiter: str, line_ending: str) -> int:
        """Write rows as they come, without holding them.

        :param fields: the columns.
        :param rows: stored values, in the order of the columns.
        :param delimiter: a key of DELIMITERS.
        :param line_ending: a key of LINE_ENDINGS.
        :returns: the number of records.
        """
        written = _writer(delimiter, line_ending).writerow
        formatters = [_csv_formatter(field) for field in fields]
        lines = (_line(written([form(value) for form, value in zip(formatters, row, strict=True)])) for row in rows)
        return self.write_lines(fields, lines, delimiter=delimiter, line_ending=line_ending)

    def write_lines(self, fields: Sequence[Field], lines: Iterable[bytes], *, delimiter: str, line_ending: str) -> int:
        """Write records that are CSV already, as they come.

        :param fields: the columns.
        :param lines: a record each, in UTF-8, with its ending.
        :param delimiter: a key of DELIMITERS.
        :param line_ending: a key of LINE_ENDINGS.
        :returns: the number of records.
        """
        records, left = 0, iter(lines)
        with self._data.open("wb") as out, self._index.open("wb") as index:
            header = _line(_writer(delimiter, line_ending).writerow([field.name for field in fields]))
            offset = out.write(header)
            array("Q", [offset]).tofile(index)
            while some := list(itertools.islice(left, _LINES)):
                out.write(b"".join(some))
                *offsets, offset = itertools.accumulate(map(len, some), initial=offset)
                array("Q", [*offsets[1:], offset]).tofile(index)
                records += len(some)
        return records

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Return the header line and some records, in pieces.

        :param start: the first record, from 0.
        :param end: the one behind the last.
        """
        with self._index.open("rb") as index:
            header, first, last = (_offset(index, record) for record in (0, start, end))
        # Opened before the first piece is asked for, so that deleting the job does not cut a download.
        return _pieces(self._data.open("rb"), [(0, header), (first, last)])

    def delete(self) -> None:
        """Delete the result, if there is one."""
        self._data.unlink(missing_ok=True)
        self._index.unlink(missing_ok=True)


def _writer(delimiter: str, line_ending: str) -> Any:
    return csv.writer(
        _Lines(), delimiter=DELIMITERS[delimiter], lineterminator=LINE_ENDINGS[line_ending], quoting=csv.QUOTE_ALL
    )


def _line(written: Any) -> bytes:
    """Encode what csv.writer wrote: its writerow hands back what the file's write returned."""
    return str(written).encode()


def _offset(index: BinaryIO, record: int) -> int:
    index.seek(_OFFSET * record)
    return int.from_bytes(index.read(_OFFSET), sys.byteorder)


def _pieces(file: BinaryIO, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
    with file:
        for start, end in ranges:
            file.seek(start)
            left = end - start
            while left and (piece := file.read(min(_CHUNK, left))):
                left -= len(piece)
                yield piece
