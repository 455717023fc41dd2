"""What an erasure answers: what it removed and where, or why it could not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from include.lake.expiry import Expired


class UnknownOrg(RuntimeError):
    """Nobody knows yet which org the lake belongs to, and without it a record cannot be recorded as erased."""


class ErasureContended(RuntimeError):
    """Other writers were faster every time. What is recorded stays recorded: ask again."""


@dataclass
class ErasureReport:
    """What an erasure did. It names nobody.

    :param object: API name of the object.
    :param digests: of the records, in the order asked for.
    :param unfinished: digests among them of erasures that were begun before and had not got to their end.
    :param repeated: digests among them that had been erased before.
    :param removed: place (a table, or `staged files`) → rows removed by digest.
    :param expired: table → what is gone of its history.
    :param held_up_by: the run that was at the history at the end; while there is one, the erasure is not completed.
    """

    object: str
    digests: tuple[str, ...]
    unfinished: frozenset[str] = frozenset()
    repeated: frozenset[str] = frozenset()
    removed: dict[str, Counter[str]] = field(default_factory=dict)
    expired: dict[str, Expired] = field(default_factory=dict)
    held_up_by: str | None = None

    @property
    def unknown(self) -> tuple[str, ...]:
        """Digests of which nothing was found. They are recorded all the same: they will never come in."""
        return tuple(one for one in self.digests if not any(counts[one] for counts in self.removed.values()))

    @property
    def held_up(self) -> str:
        """Why the erasure is not completed, and what to do; nothing if it is."""
        if self.held_up_by is None:
            return ""
        return (
            f"Not completed: run {self.held_up_by} is at the history of {self.object}, and may publish what it read "
            "before. What there is was removed, and nothing new comes in. Ask again when that run has ended. Should it "
            "have ended without giving its turn back, let the next run end first; or give --alone, if nobody writes to "
            "the lake."
        )
