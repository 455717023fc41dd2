"""One event of a scenario."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Datetimes are seconds since 1970; values of fields are as the store keeps them."""

    at: int
    op: str
    object: str
    id: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    visible_at: int | None = None
    system: bool = False
    line: int = field(default=0, compare=False)

    @property
    def shows_at(self) -> int:
        """The moment from which the event shows to readers, in seconds since 1970."""
        return self.at if self.visible_at is None else self.visible_at

    def digest(self) -> bytes:
        """Return 16 bytes that are equal for events that agree in every key."""
        content = [self.at, self.op, self.object, self.id, self.fields, self.visible_at, self.system]
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).digest()
