"""What is left of a text anywhere below a folder: every file is opened as what it is, whatever refers to it or not."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq


def remains(folder: Path, *texts: str) -> list[str]:
    """Files that hold one of the texts, each with the text."""
    needles = [text.encode() for text in texts]
    return [
        f"{path.relative_to(folder)}: {needle.decode()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for needle in needles
        if any(needle in content for content in contents(path))
    ]


def contents(path: Path) -> Iterator[bytes]:
    """A file's bytes, and what is in them once they are unpacked."""
    raw = path.read_bytes()
    yield raw
    if path.suffix == ".parquet":
        for column in pq.read_table(path, partitioning=None).columns:
            yield "\n".join(str(value) for value in column.to_pylist()).encode()
    elif path.suffix == ".avro":
        yield from _blocks(raw)


def _blocks(raw: bytes) -> Iterator[bytes]:
    """The blocks of an Avro file, unpacked."""
    assert raw[:4] == b"Obj\x01"
    sync, start = raw[-16:], raw.index(raw[-16:]) + 16
    unpack = (lambda block: zlib.decompress(block, -15)) if b"deflate" in raw[:start] else bytes
    while start < len(raw):
        _, start = _long(raw, start)
        size, start = _long(raw, start)
        yield unpack(raw[start : start + size])
        start += size + len(sync)


def _long(raw: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[start]
        start += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), start
