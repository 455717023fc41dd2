"""The bag counts exactly what a set would, however the Ids come and whatever they are."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from unittest import mock

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from include.salesforce import id_bag
from include.salesforce.id_bag import IdBag

IDS = st.sampled_from(["005000000000001", "005000000000001AAA", "005000000000001aaa", "005\x00", "005", "", "é" * 9])


@settings(deadline=None)
@given(st.lists(st.lists(IDS | st.text(max_size=20, alphabet="ab\x00é") | st.none(), max_size=9), max_size=6))
def test_the_bag_counts_like_a_set(batches: list[list[str | None]]) -> None:
    bag, held = IdBag(), Counter(value for batch in batches for value in batch)
    for batch in batches:
        bag.add(pa.array(batch, pa.string()))
    nulls = held.pop(None, 0)
    for _ in range(2):
        assert bag.distinct() == len(held) + nulls
        assert bag.repeated().to_pylist() == sorted(value for value, count in held.items() if count > 1)


@settings(deadline=None)
@given(st.lists(st.lists(IDS | st.none(), max_size=9), max_size=9))
def test_ids_that_were_written_away_are_counted_alike(batches: list[list[str | None]]) -> None:
    bag, held = IdBag(), Counter(value for batch in batches for value in batch)
    with mock.patch.object(id_bag, "_HELD", 4):
        for batch in batches:
            bag.add(pa.array(batch, pa.string()))
    nulls = held.pop(None, 0)
    for _ in range(2):
        assert bag.distinct() == len(held) + nulls
        assert bag.repeated().to_pylist() == sorted(value for value, count in held.items() if count > 1)


def test_ids_that_differ_in_their_first_characters_alone_are_told_apart() -> None:
    bag = IdBag()
    bag.add(pa.array(["005000100000001AAA", "005000200000001AAA", "005000200000001AAB", "005000200000001AAA"]))
    assert bag.distinct() == 3
    assert bag.repeated().to_pylist() == ["005000200000001AAA"]


def test_a_part_of_a_batch_is_counted_as_that_part() -> None:
    bag = IdBag()
    whole = pa.array([f"005{number:012d}AAA" for number in range(10)])
    bag.add(whole.slice(2, 5))
    bag.add(whole.slice(6))
    assert bag.distinct() == 8
    assert bag.repeated().to_pylist() == ["005000000000006AAA"]


def test_memory_does_not_grow_with_the_ids() -> None:
    """Of 300,000 Ids (5.4 MB) a few 10,000 are held, while they come and while they are counted."""
    bag = IdBag()
    with mock.patch.object(id_bag, "_HELD", 10_000):
        tracemalloc.start()
        for first in range(0, 300_000, 5_000):
            bag.add(pa.array([f"005{first + number:012d}AAA" for number in range(5_000)]))
        assert bag.distinct() == 300_000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3 * 1024 * 1024
