"""What was worked out from a snapshot of a table, kept until the table has another one, within a bound of memory.

A snapshot never changes, so nothing here can be stale: whoever asks has just looked at the catalog.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from pyiceberg.table import Table

_Value = TypeVar("_Value")
#: A table's name, and that of the value.
_Key = tuple[tuple[str, ...], str]


class SnapshotCache:
    """A bounded number of bytes; what was not asked for longest goes first.

    :param most_bytes: of all values together. A larger value is worked out each time.
    """

    def __init__(self, *, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[_Key, tuple[Hashable, Any, int]] = OrderedDict()
        self._makers: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Of what is kept now."""
        with self._lock:
            return sum(size for _, _, size in self._kept.values())

    def has(self, table: Table, what: str) -> bool:
        """Whether a value is kept, of the current snapshot or of an earlier one.

        :param table: as it was just loaded.
        :param what: names the value.
        """
        with self._lock:
            return (table.name(), what) in self._kept

    def of(
        self,
        table: Table,
        what: str,
        make: Callable[[], _Value],
        *,
        size: Callable[[_Value], int],
        also: Hashable = None,
    ) -> _Value:
        """A value of the table's current snapshot. Of several threads that ask at once, one works it out.

        :param table: as it was just loaded.
        :param what: names the value.
        :param make: works it out.
        :param size: its bytes.
        :param also: what else it depends on.
        """
        snapshot = table.current_snapshot()
        metadata = table.metadata
        current = (metadata.table_uuid, snapshot.snapshot_id if snapshot else None, metadata.current_schema_id, also)
        # By its name: what was worked out from a table that was dropped and made anew makes room for the new one's.
        key = (table.name(), what)
        with self._lock:
            maker = self._makers.setdefault(key, threading.Lock())
        with maker:
            with self._lock:
                kept = self._kept.get(key)
                if kept is not None and kept[0] == current:
                    self._kept.move_to_end(key)
                    value: _Value = kept[1]
                    return value
            value = make()
            self._keep(key, current, value, size(value))
            return value

    def _keep(self, key: _Key, made_of: Hashable, value: Any, size: int) -> None:
        with self._lock:
            self._kept.pop(key, None)
            if size > self.most_bytes:
                return
            self._kept[key] = (made_of, value, size)
            total = sum(each for _, _, each in self._kept.values())
            while total > self.most_bytes:
                _, (_, _, freed) = self._kept.popitem(last=False)
                total -= freed
