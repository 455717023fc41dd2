"""A request of the page, measured: first as whoever comes after a run does, then again."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from bench.history_data import History
from bench.measure import Clock
from bench.page_lake import lake_of
from include.config.object_file import read_object_files
from include.page.changes import Asked, Changes
from include.page.lake import ObjectLake
from include.page.overview import Overview
from include.page.quarantine import QuarantineView
from include.page.record import RecordView
from include.page.records import Search
from include.page.snapshot_cache import SnapshotCache

_LIMIT: Final = 50
#: Bytes that the API server keeps (plugins/salesforce_history/page/lakes.py).
_CACHE: Final = 256 * 1024 * 1024
_WARM: Final = 3


def _raised(problem: Exception) -> NoReturn:
    """The page tells it on a card; a measurement of that would be none."""
    raise problem


class _Links:
    def dag(self, dag_id: str) -> str:
        return f"/dags/{dag_id}"

    def run(self, dag_id: str, run_id: str) -> str:
        return f"/dags/{dag_id}/runs/{run_id}"


def request(clock: Clock, *, view: str, versions: int, small: int) -> dict[str, float | str]:
    """Ask for a view: once with nothing kept, which is what counts, then `_WARM` times.

    :param clock: counts the first one.
    :param view: one of `VIEWS`.
    :param versions: of the dimension.
    :param small: a size of lake that is asked first, because an API server has long imported what it needs.
    :return: CPU and peak of the later ones (the median), and how long the answer is.
    """
    _answer(view, small, SnapshotCache(most_bytes=_CACHE))
    cache = SnapshotCache(most_bytes=_CACHE)
    lake_of(versions)
    with clock.running():
        answer = _answer(view, versions, cache)
    warm, again = [], Clock()
    with again.running():
        for _ in range(_WARM):
            begun = time.process_time()
            _answer(view, versions, cache)
            warm.append(time.process_time() - begun)
    return {
        "warm cpu": statistics.median(warm),
        "warm peak_mb": again.peak_mb,
        "answer bytes": float(len(answer)),
        "kept mb": cache.bytes / 1024 / 1024,
    }


def _answer(view: str, versions: int, cache: SnapshotCache) -> str:
    lake = lake_of(versions)
    objects = ObjectLake(lake.catalog, read_object_files()["user"], lake.environment)
    return json.dumps(VIEWS[view](objects, cache, versions))


def _overview(lake: ObjectLake, cache: SnapshotCache, _versions: int) -> Any:
    now = datetime(2025, 7, 1, tzinfo=UTC)
    made = Overview(
        catalog=lake.catalog, environment=lake.environment, links=_Links(), cache=cache, now=now, worded=_raised
    )
    return made.objects([lake.object_file])


def _list(lake: ObjectLake, cache: SnapshotCache, _versions: int) -> Any:
    return Search(lake=lake, cache=cache).find("", page=None, limit=_LIMIT)


def _search(lake: ObjectLake, cache: SnapshotCache, _versions: int) -> Any:
    return Search(lake=lake, cache=cache).find("ser 99", page=None, limit=_LIMIT)


def _record(lake: ObjectLake, cache: SnapshotCache, versions: int) -> Any:
    identity = f"0055e{History(versions).users // 2:010d}AAA"
    return RecordView(lake=lake, cache=cache, links=_Links()).show(identity, site=None)


def _changes(lake: ObjectLake, cache: SnapshotCache, _versions: int) -> Any:
    found = Changes(lake, cache, Asked())
    return found.summary() | found.page(None, limit=_LIMIT)


def _quarantine(lake: ObjectLake, cache: SnapshotCache, _versions: int) -> Any:
    return QuarantineView(lake=lake, cache=cache).show(reason=None, state=None, page=None, limit=_LIMIT)


VIEWS: Final[dict[str, Callable[[ObjectLake, SnapshotCache, int], Any]]] = {
    "overview": _overview,
    "records, all by name": _list,
    "records, a part of a name": _search,
    "record": _record,
    "changes of 30 days": _changes,
    "quarantine": _quarantine,
}
