"""What was worked out is kept for a snapshot, within a bound, and worked out once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from pyiceberg.table import Table

from include.page.snapshot_cache import SnapshotCache
from tests.include.page.lakes import catalog_in, publish, versions_of


@pytest.fixture
def table(tmp_path: Path) -> Table:
    catalog = catalog_in(tmp_path)
    publish(catalog, versions_of(1, {}))
    return catalog.load_table("sf_curated.dim_sf_user_scd")


def test_it_never_holds_more_than_it_may(table: Table) -> None:
    cache, made = SnapshotCache(most_bytes=100), []

    def value(name: str, size: int) -> str:
        return cache.of(table, name, lambda: made.append(name) or name, size=lambda _: size)

    for name, size in (("a", 40), ("b", 40), ("a", 40), ("c", 40), ("a", 40), ("b", 40), ("huge", 101), ("huge", 101)):
        assert value(name, size) == name
        assert cache.bytes <= 100
    # b made room for c, since a had been asked for after it; what is larger than all is made each time.
    assert made == ["a", "b", "c", "b", "huge", "huge"]


def test_of_many_who_ask_at_once_one_works(table: Table) -> None:
    cache, made, begun = SnapshotCache(most_bytes=100), [], threading.Barrier(8)

    def work() -> int:
        made.append(1)
        return 7

    def ask() -> None:
        begun.wait()
        assert cache.of(table, "it", work, size=lambda _: 1) == 7

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_table_that_is_made_anew_leaves_nothing_of_the_one_before(tmp_path: Path) -> None:
    """A dimension is rebuilt so that an erased person is in it no more."""
    catalog, cache = catalog_in(tmp_path), SnapshotCache(most_bytes=100)
    for name, bytes_kept in (("erased", 40), ("else", 10)):
        publish(catalog, versions_of(1, {}, name=name))
        table = catalog.load_table("sf_curated.dim_sf_user_scd")
        assert cache.of(table, "names", lambda name=name: name, size=lambda _, kept=bytes_kept: kept) == name
        assert cache.has(table, "names")
        assert cache.bytes == bytes_kept
        catalog.drop_table("sf_curated.dim_sf_user_scd")


def test_what_else_it_depends_on_counts(table: Table) -> None:
    cache = SnapshotCache(most_bytes=100)
    assert cache.of(table, "it", lambda: 1, size=lambda _: 1, also="a") == 1
    assert cache.of(table, "it", lambda: 2, size=lambda _: 1, also="a") == 1
    assert cache.of(table, "it", lambda: 2, size=lambda _: 1, also="b") == 2
