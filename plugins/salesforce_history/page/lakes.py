"""The lake that the page reads: opened by Airflow's connection, kept open between requests, looked at by each."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from fastapi import Depends

from include.config.environment import Environment, current_environment
from include.config.object_file import OBJECTS_FOLDER, ObjectFile, ObjectFileError, read_object_file
from include.page.answers import NotThere
from include.page.lake import ObjectLake
from include.page.snapshot_cache import SnapshotCache

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

#: What an API server keeps of snapshots, for all objects together.
CACHE_BYTES = 256 * 1024 * 1024
#: A connection that was changed in Airflow is noticed after so many seconds.
_OPEN_FOR = 300.0


@dataclass
class Lakes:
    """What a process knows of the lake.

    :param cache: what was worked out from snapshots.
    """

    #: Where the object files are.
    folder: ClassVar[Path] = OBJECTS_FOLDER
    cache: SnapshotCache = field(default_factory=lambda: SnapshotCache(most_bytes=CACHE_BYTES))
    _catalog: Catalog | None = None
    _opened: tuple[str, float] = ("", 0.0)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> Environment:
        """The environment of this process."""
        return current_environment()

    def catalog(self) -> Catalog:
        """The catalog of the environment's connection. Opening one takes longer than a request may."""
        from salesforce_history.connections import lake_catalog

        wanted = self.environment.iceberg_conn_id
        with self._lock:
            name, at = self._opened
            if self._catalog is None or name != wanted or time.monotonic() - at > _OPEN_FOR:
                self._catalog = None
                self._catalog = lake_catalog(wanted)
                self._opened = (wanted, time.monotonic())
            return self._catalog

    def site(self) -> str | None:
        """Where a person opens a record of the org; None where the connection does not say."""
        from salesforce_history.connections import salesforce_site

        return salesforce_site(self.environment)

    def object_files(self) -> tuple[list[ObjectFile], list[ObjectFileError]]:
        """The objects, and what is wrong with the files of others: one that is wrong hides no other."""
        good, wrong = [], []
        for path in sorted(self.folder.glob("*.yml")):
            stamp = path.stat()
            try:
                good.append(_read(path, stamp.st_mtime_ns, stamp.st_size))
            except ObjectFileError as problem:
                wrong.append(problem)
        return good, wrong

    def of(self, noun: str) -> ObjectLake:
        """An object's lake.

        :param noun: as the page calls the object.
        :raises NotThere: naming those that there are.
        """
        good, wrong = self.object_files()
        for found in good:
            if found.noun == noun:
                return ObjectLake(self.catalog(), found, self.environment)
        known = ", ".join(one.noun for one in good) or "none"
        problems = "".join(f" {problem}" for problem in wrong)
        raise NotThere(
            f"There is no object {noun!r:.80}; there are: {known}.{problems}",
            remedy="Choose one of them, or add an object file (docs/configuration.md).",
        )


@cache
def lakes() -> Lakes:
    """What this process knows of the lake."""
    return Lakes()


@lru_cache(maxsize=200)
def _read(path: Path, _changed: int, _size: int) -> ObjectFile:
    return read_object_file(path)


LakesDep = Annotated[Lakes, Depends(lakes)]
