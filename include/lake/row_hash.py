"""`_row_hash`: one md5 over a record's values, by which two observations are told apart.

The hash depends on names and values alone: not on the order of columns, chunking, dictionary encoding, nor on whether
a whole number came as long or as double. Nulls are left out (and '' with them, which staging turns into null), so a
field that is added and is empty changes no hash. Every value is written as `<length of name>:<name>:<bytes>:<value>`,
which no other set of values can spell.

Encoding is vectorised; only the digest is one C call a row, because Arrow has no md5 kernel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Rows encoded at a time: bounds the memory that long texts take.
_SLICE_ROWS = 32_768
#: Whole numbers below this are the same value as long and as double.
_EXACT_IN_DOUBLE = float(2**53)
_TEXT = pa.large_string()


def row_hashes(rows: pa.RecordBatch | pa.Table, columns: Iterable[str]) -> pa.ChunkedArray:
    """The hash of each row over the given columns.

    :param rows: the records.
    :param columns: names of the source columns; a name that `rows` lacks counts as null.
    :return: 32 lower-case hex digits a row.
    :raises TypeError: naming a column whose type has no canonical text.
    """
    names = sorted(set(columns) & set(rows.schema.names))
    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    chunks = [
        _digests(_encode(table.slice(start, _SLICE_ROWS), names)) for start in range(0, table.num_rows, _SLICE_ROWS)
    ]
    return pa.chunked_array(chunks, type=pa.string())


def _encode(rows: pa.Table, names: list[str]) -> pa.LargeStringArray:
    nothing = pa.scalar("", _TEXT)
    parts = [pa.array([""] * rows.num_rows, _TEXT)]
    for name in names:
        value = _canonical(name, rows.column(name).combine_chunks())
        size = pc.binary_length(value).cast(_TEXT)
        head = pa.scalar(f"{len(name)}:{name}:", _TEXT)
        parts.append(pc.binary_join_element_wise(head, size, pa.scalar(":", _TEXT), value, nothing))
    return pc.binary_join_element_wise(*parts, nothing, null_handling="skip")


def _canonical(name: str, values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """One text a value, the same whatever way the value is stored; null stays null."""
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _canonical(name, values.dictionary_decode())
    for is_kind, write in _CANONICAL:
        if is_kind(kind):
            return write(values)
    raise TypeError(f"column {name} has type {kind}, which _row_hash has no canonical text for")


def _canonical_text(values: pa.Array) -> pa.Array:
    text = values.cast(_TEXT)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, _TEXT), text)


def _canonical_moment(values: pa.TimestampArray) -> pa.Array:
    return values.cast(pa.timestamp("us", tz=values.type.tz)).cast(pa.int64()).cast(_TEXT)


def _canonical_date(values: pa.Array) -> pa.Array:
    return values.cast(pa.date32()).cast(pa.int32()).cast(_TEXT)


def _canonical_double(values: pa.FloatingPointArray) -> pa.Array:
    values = values.cast(pa.float64())
    whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), _EXACT_IN_DOUBLE))
    as_long = pc.if_else(whole, values, pa.scalar(0.0)).cast(pa.int64()).cast(_TEXT)
    bits = pa.array(np.asarray(values.fill_null(0.0)).view(np.int64)).cast(_TEXT)
    text = pc.if_else(whole, as_long, pc.binary_join_element_wise(pa.scalar("bits", _TEXT), bits, pa.scalar("", _TEXT)))
    return pc.if_else(pc.is_valid(values), text, pa.scalar(None, _TEXT))


def _as_it_is(values: pa.Array) -> pa.Array:
    return values.cast(_TEXT)


_CANONICAL: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], pa.Array]], ...] = (
    (pa.types.is_null, _as_it_is),
    (pa.types.is_boolean, _as_it_is),
    (pa.types.is_integer, _as_it_is),
    (pa.types.is_string, _canonical_text),
    (pa.types.is_large_string, _canonical_text),
    (pa.types.is_timestamp, _canonical_moment),
    (pa.types.is_date, _canonical_date),
    (pa.types.is_floating, _canonical_double),
)


def _digests(encoded: pa.LargeStringArray | pa.ChunkedArray) -> pa.StringArray:
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks)
    count = len(encoded)
    _, offset_buffer, data = encoded.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[encoded.offset : encoded.offset + count + 1].tolist()
    text = memoryview(data) if data is not None else memoryview(b"")
    md5 = hashlib.md5
    digests = b"".join([md5(text[start:end], usedforsecurity=False).digest() for start, end in pairwise(offsets)])
    ends = (np.arange(count + 1, dtype=np.int32) * 32).astype(np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(digests.hex().encode("ascii")))
