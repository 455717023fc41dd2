"""What an upsert asks of whoever does its heavy work: this worker with pyiceberg, or an SQL engine.

The order of the steps, the properties and what happens on a conflict are the upsert's, whoever works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pyiceberg.table import Table

from include.lake.changes_log import ChangesLog
from include.lake.copy_on_write import Merged
from include.lake.erased import ErasedIds
from include.lake.mirror import Recovered
from include.lake.watermark import LakeState


@dataclass(frozen=True, kw_only=True)
class LoadedLake:
    """Mirror, log and register of erasures as they were when they were loaded, in this order.

    :param mirror: what it has applied of the log is in the log.
    :param changes: the log.
    :param state: what the mirror remembers.
    :param erased: records that must not come in.
    """

    mirror: Table
    changes: ChangesLog
    state: LakeState
    erased: ErasedIds


class Findings(Protocol):
    """What a run has to add, found and not committed."""

    @property
    def logged(self) -> int:
        """Observations for the log."""
        ...

    @property
    def deleted(self) -> int:
        """Deletions among them."""
        ...

    @property
    def unchanged(self) -> int:
        """Records inside the window that say nothing new."""
        ...

    @property
    def judged_absence(self) -> bool:
        """Whether absence was taken as deletion."""
        ...

    def append(self, last_look: Callable[[], None] | None) -> int | None:
        """Commit them to the log, provided that nobody has appended or erased since the lake was loaded.

        :param last_look: called right before the commit; it may raise to stop it.
        :return: the log's snapshot.
        :raises CommitFailedException: when someone else has; plan again.
        """
        ...

    def merge(self, properties: Mapping[str, str], last_look: Callable[[], None]) -> Merged:
        """Bring the mirror up to the log, and set its properties, in one commit.

        :param properties: to be set.
        :param last_look: called right before the commit; it may raise to stop it.
        :raises CommitFailedException: when someone else has committed since the lake was loaded; plan again.
        """
        ...


class Writer(Protocol):
    """Who does the work of one upsert."""

    def apply_log(self, lake: LoadedLake) -> Recovered | None:
        """Bring the mirror up to the log, if it is behind.

        :param lake: as it was loaded.
        :return: None if the mirror was up to date.
        :raises CommitFailedException: when someone else has committed to the mirror; load it again.
        """
        ...

    def find(self, lake: LoadedLake) -> Findings:
        """Compare the accepted records with the lake.

        :param lake: as it was loaded; the mirror has applied all of the log.
        :raises SuspiciousRead: when a full refresh misses too many records.
        :raises RepeatedIds: when the validated files hold an Id twice.
        """
        ...

    def clear_away(self) -> None:
        """Remove what an attempt that was not published has left."""
        ...
