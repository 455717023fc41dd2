"""Ids by the million in bounded memory: how many are distinct, and which repeat. Exact, whatever the Ids look like.

What does not fit into memory goes to a temporary file, in parts by a digest of the Id: equal Ids meet in the same part,
and one part is looked at at a time.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_Ids = npt.NDArray[np.bytes_]

_WIDTH = 18
#: Ids held in memory (18 bytes each) before they are written away.
_HELD = 1 << 16
#: A part of 100 million Ids is 28 MB.
_PARTS = 64
_PART_BITS = 6
#: 2**64 divided by the golden ratio, odd: the high bits of a product depend on all of a number's bits.
_MIX = np.uint64(0x9E3779B97F4A7C15)
#: The bytes of an Id that vary most: its last eight of fifteen characters.
_KEY_AT, _KEY_TYPE = 7, np.dtype(">u8")


class IdBag:
    """Ids as they come. Arrow's own unique and value_counts would take ten times the memory."""

    def __init__(self) -> None:
        self._new: list[_Ids] = []
        self._held = 0
        self._spill: _Spill | None = None
        self._odd: Counter[str] = Counter()
        self._without_id = 0
        self._count = 0

    def add(self, ids: pa.Array) -> None:
        """Put a batch's Ids in.

        :param ids: strings, nulls allowed.
        """
        plain = _plain(ids)
        if plain is None:
            self._without_id += ids.null_count
            plain = self._fitting(ids.drop_null())
        self._new.append(plain)
        self._held += len(plain)
        self._count += len(plain)
        if self._held >= _HELD:
            self._spill = self._spill or _Spill()
            self._spill.write(self._taken())

    def distinct(self) -> int:
        """Number of distinct Ids; a record without one counts as one of its own."""
        repeats = sum(len(part) for part in self._repeats())
        return self._count - repeats + len(self._odd) + self._without_id

    def repeated(self) -> pa.Array:
        """The Ids that are in the bag more than once, sorted."""
        found = {value.decode("ascii") for part in self._repeats() for value in np.unique(part)}
        found |= {value for value, count in self._odd.items() if count > 1}
        return pa.array(sorted(found), pa.string())

    def _fitting(self, ids: pa.Array) -> _Ids:
        """Those that fit into 18 bytes without ambiguity. The others are no Ids of Salesforce's, and rare."""
        fits = pc.and_(pc.less_equal(pc.binary_length(ids), _WIDTH), pc.string_is_ascii(ids))
        fits = pc.and_(fits, pc.invert(pc.match_substring(ids, "\x00")))
        self._odd.update(ids.filter(pc.invert(fits)).to_pylist())
        padded = pc.ascii_rpad(ids.filter(fits), _WIDTH, padding="\x00").cast(pa.binary()).cast(pa.binary(_WIDTH))
        return np.frombuffer(padded.buffers()[1], dtype=f"S{_WIDTH}", count=len(padded))

    def _taken(self) -> _Ids:
        ids = np.concatenate([np.empty(0, f"S{_WIDTH}"), *self._new])
        self._new, self._held = [], 0
        return ids

    def _repeats(self) -> Iterator[_Ids]:
        """Each Id as often as it is there again, part by part."""
        if self._spill is None:
            ids = self._taken()
            self._new, self._held = [ids], len(ids)
            yield _repeats(ids)
            return
        if self._held:
            self._spill.write(self._taken())
        for part in range(_PARTS):
            yield _repeats(self._spill.read(part))


class _Spill:
    """Ids in a file that nobody else sees, and that is gone with this process."""

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as this object
        self._places: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]

    def write(self, ids: _Ids) -> None:
        parts = ((_keys(ids) * _MIX) >> np.uint64(64 - _PART_BITS)).astype(np.uint8)
        order = np.argsort(parts, kind="stable")
        ends = np.cumsum(np.bincount(parts, minlength=_PARTS))
        begin, at = 0, self._file.seek(0, 2)
        self._file.write(ids[order].tobytes())
        for places, end in zip(self._places, ends.tolist(), strict=True):
            if end > begin:
                places.append((at + begin * _WIDTH, (end - begin) * _WIDTH))
            begin = end

    def read(self, part: int) -> _Ids:
        pieces = []
        for at, size in self._places[part]:
            self._file.seek(at)
            pieces.append(self._file.read(size))
        return np.frombuffer(b"".join(pieces), dtype=f"S{_WIDTH}")


def _plain(ids: pa.Array) -> _Ids | None:
    """The Ids as they lie in Arrow's memory, copied, if all have 18 ASCII characters; else None."""
    if ids.type != pa.string() or ids.null_count or not len(ids):
        return None
    _, offsets, values = ids.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32, count=len(ids) + 1, offset=4 * ids.offset)
    first, last = int(ends[0]), int(ends[-1])
    if last - first != _WIDTH * len(ids) or (np.diff(ends) != _WIDTH).any():
        return None
    letters = np.frombuffer(values, dtype=np.uint8, count=last - first, offset=first)
    if letters.min() == 0 or letters.max() > 0x7F:
        return None
    return letters.copy().view(f"S{_WIDTH}")


def _keys(ids: _Ids) -> npt.NDArray[np.uint64]:
    """A number of each Id: equal for equal Ids, and nearly always another for others."""
    if not len(ids):
        return np.empty(0, np.uint64)
    places = np.ndarray(len(ids), dtype=_KEY_TYPE, buffer=ids, offset=_KEY_AT, strides=(_WIDTH,))
    return places.astype(np.uint64)


def _repeats(ids: _Ids) -> _Ids:
    """The Ids that are there again, each as often as it is."""
    keys = _keys(ids)
    keys.sort()
    if not (again := keys[1:] == keys[:-1]).any():
        return ids[:0]
    # Only what shares its number with another is compared as a whole.
    suspects = np.sort(ids[np.isin(_keys(ids), np.unique(keys[1:][again]))])
    return suspects[1:][suspects[1:] == suspects[:-1]]
