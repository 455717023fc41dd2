"""Ids by the million, in 18 bytes each: how many are distinct, and which repeat. Exact, whatever the Ids look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_WIDTH = 18
#: Neighbours compared at a time, to keep what the comparison needs small.
_SLICE = 1 << 20


class IdBag:
    """Ids as they come. Arrow's own unique and value_counts would take ten times the memory."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[np.bytes_]] = []
        self._odd: Counter[str] = Counter()
        self._without_id = 0

    def add(self, ids: pa.Array) -> None:
        """Put a batch's Ids in.

        :param ids: strings, nulls allowed.
        """
        self._without_id += ids.null_count
        ids = ids.drop_null()
        # What does not fit into 18 bytes without ambiguity is no Id of Salesforce's, and rare.
        fits = pc.and_(pc.less_equal(pc.binary_length(ids), _WIDTH), pc.string_is_ascii(ids))
        fits = pc.and_(fits, pc.invert(pc.match_substring(ids, "\x00")))
        self._odd.update(ids.filter(pc.invert(fits)).to_pylist())
        padded = pc.ascii_rpad(ids.filter(fits), _WIDTH, padding="\x00").cast(pa.binary()).cast(pa.binary(_WIDTH))
        self._parts.append(np.frombuffer(padded.buffers()[1], dtype=f"S{_WIDTH}", count=len(padded)))

    def distinct(self) -> int:
        """Number of distinct Ids; a record without one counts as one of its own."""
        ids = self._sorted()
        repeats = sum(len(part) for part in _repeats(ids))
        return len(ids) - repeats + len(self._odd) + self._without_id

    def repeated(self) -> pa.Array:
        """The Ids that are in the bag more than once, sorted."""
        found = {value.decode("ascii") for part in _repeats(self._sorted()) for value in np.unique(part)}
        found |= {value for value, count in self._odd.items() if count > 1}
        return pa.array(sorted(found), pa.string())

    def _sorted(self) -> npt.NDArray[np.bytes_]:
        ids = np.empty(sum(len(part) for part in self._parts), dtype=f"S{_WIDTH}")
        filled = 0
        while self._parts:
            # Taken off one by one, so that the parts and the whole are not held at once.
            part = self._parts.pop()
            ids[filled : filled + len(part)] = part
            filled += len(part)
        ids.sort()
        self._parts.append(ids)
        return ids


def _repeats(ids: npt.NDArray[np.bytes_]) -> Iterator[npt.NDArray[np.bytes_]]:
    """Of sorted Ids those that equal the one before, slice by slice."""
    for at in range(1, len(ids), _SLICE):
        here = ids[at : at + _SLICE]
        yield here[here == ids[at - 1 : at - 1 + len(here)]]
