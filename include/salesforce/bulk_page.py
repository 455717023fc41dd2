"""One page of a Bulk result: CSV in, rows of the staged schema out. A page that is not whole is no page."""

from __future__ import annotations

import codecs
import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from include.salesforce.convert import assemble
from include.salesforce.errors import Unavailable, UnexpectedSchema, clean
from include.staging.columns import COLUMN_TYPES
from include.staging.manifest import ReadPlan

#: What the CSV reader takes at a time (bytes). A record must fit in a block, and can hold 1.6 million characters of
#: long text; but hardly any does, and small blocks take less memory.
_BLOCKS_BYTES = (1024 * 1024, 8 * 1024 * 1024)
#: What a page may hold in memory (bytes of Arrow) while it waits for its turn; the rest waits in a temporary file.
_HELD_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page that was read to its end and is whole.

    :param batches: its first rows.
    :param rest: the rows behind them, as an Arrow stream in a temporary file; None if there are none.
    :param rows: how many rows it has.
    :param locator: of the page behind it; '' with the last one.
    """

    batches: tuple[pa.RecordBatch, ...]
    rest: BinaryIO | None
    rows: int
    locator: str

    def rows_in_order(self, batch_size: int) -> Iterator[pa.RecordBatch]:
        """The rows; they can be asked for once.

        :param batch_size: most rows in a batch.
        """
        for batch in self._blocks():
            for at in range(0, batch.num_rows, batch_size):
                yield batch.slice(at, batch_size)

    def _blocks(self) -> Iterator[pa.RecordBatch]:
        yield from self.batches
        if self.rest is not None:
            with self.rest:
                self.rest.seek(0)
                yield from pa.ipc.open_stream(self.rest)


def read_page(body: BinaryIO, headers: Mapping[str, str], *, what: str, plan: ReadPlan, schema: pa.Schema) -> Page:
    """Read a page and check it against what its headers announce.

    :param body: the answer's body; a seekable file, at its beginning.
    :param headers: of the answer.
    :param what: what is being done, for messages.
    :param plan: what was selected.
    :param schema: from `schema_of`.
    :raises Unavailable: when it is not whole, which another download may mend.
    :raises UnexpectedSchema: when it lacks a field, or a value is not of its field's type.
    """
    if not _is_whole(body):
        raise Unavailable(f"{what}: a page of the result ended in the middle of a record.")
    locator = headers.get("Sforce-Locator", "")
    try:
        page = _read(body, plan, schema, "" if locator == "null" else locator)
    except pa.ArrowInvalid as error:
        if "conversion error" in str(error):
            raise UnexpectedSchema(
                f"{what}: a value is not of its field's type: {clean(str(error), limit=200)}."
            ) from None
        raise Unavailable(f"{what}: a page of the result is not readable as CSV.") from None
    said = headers.get("Sforce-NumberOfRecords")
    if said is not None and int(said) != page.rows:
        raise Unavailable(f"{what}: a page of the result was announced with {said} records and holds {page.rows}.")
    return page


def _is_whole(body: BinaryIO) -> bool:
    size = body.seek(0, 2)
    if size:
        body.seek(size - 1)
    ending = body.read(1)
    body.seek(0)
    return ending in {b"", b"\n"}


def _read(body: BinaryIO, plan: ReadPlan, schema: pa.Schema, locator: str) -> Page:
    small, large = _BLOCKS_BYTES
    try:
        return _held(_parse(body, plan, schema, small), schema, locator)
    except pa.ArrowInvalid as error:
        if "invalid UTF8" not in str(error) and "straddl" not in str(error):
            raise
    with _utf8(body) as mended:
        return _held(_parse(mended, plan, schema, large), schema, locator)


def _held(batches: Iterator[pa.RecordBatch], schema: pa.Schema, locator: str) -> Page:
    first: list[pa.RecordBatch] = []
    held = rows = 0
    with contextlib.ExitStack() as undone:
        rest: BinaryIO | None = None
        writer: pa.ipc.RecordBatchStreamWriter | None = None
        for batch in batches:
            rows += batch.num_rows
            if held + batch.nbytes <= _HELD_BYTES:
                held += batch.nbytes
                first.append(batch)
                continue
            held = _HELD_BYTES  # from here on, all of it: the order is kept
            if rest is None or writer is None:
                rest = undone.enter_context(tempfile.TemporaryFile())
                writer = pa.ipc.new_stream(rest, schema)
            writer.write_batch(batch)
        if writer is not None:
            writer.close()
        undone.pop_all()
    return Page(batches=tuple(first), rest=rest, rows=rows, locator=locator)


@contextlib.contextmanager
def _utf8(body: BinaryIO) -> Iterator[BinaryIO]:
    """The body with U+FFFD wherever it is not UTF-8."""
    body.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with tempfile.TemporaryFile() as mended:
        while piece := body.read(_BLOCKS_BYTES[0]):
            mended.write(decoder.decode(piece).encode())
        mended.write(decoder.decode(b"", final=True).encode())
        mended.seek(0)
        yield mended


def _parse(body: BinaryIO, plan: ReadPlan, schema: pa.Schema, block_bytes: int) -> Iterator[pa.RecordBatch]:
    body.seek(0)
    if not body.read(1):
        return
    body.seek(0)
    names = [field.name for field in plan.fields]
    convert = pacsv.ConvertOptions(
        column_types={field.name: COLUMN_TYPES[field.column_type] for field in plan.fields},
        include_columns=names,
        # Bulk writes null and the empty string alike, as "".
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
        true_values=["true"],
        false_values=["false"],
    )
    parse = pacsv.ParseOptions(newlines_in_values=True)
    # Pages are read side by side already; more threads within one would hold more of it.
    read = pacsv.ReadOptions(block_size=block_bytes, use_threads=False)
    try:
        reader = pacsv.open_csv(body, read_options=read, parse_options=parse, convert_options=convert)
    except KeyError as error:
        raise UnexpectedSchema(f"{plan.object}: the Bulk result lacks a selected field ({error}).") from None
    for batch in reader:
        columns = {field.column: batch.column(field.name) for field in plan.fields}
        yield assemble(columns, plan=plan, rows=batch.num_rows, schema=schema)
