"""The bag counts exactly what a set would, however the Ids come and whatever they are."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.salesforce import id_bag
from include.salesforce.id_bag import IdBag

IDS = st.sampled_from(["005000000000001", "005000000000001AAA", "005000000000001aaa", "005\x00", "005", "", "é" * 9])


@given(st.lists(st.lists(IDS | st.text(max_size=20, alphabet="ab\x00é") | st.none(), max_size=9), max_size=6))
def test_the_bag_counts_like_a_set(batches: list[list[str | None]]) -> None:
    bag, held = IdBag(), Counter(value for batch in batches for value in batch)
    for batch in batches:
        bag.add(pa.array(batch, pa.string()))
    nulls = held.pop(None, 0)
    for _ in range(2):
        assert bag.distinct() == len(held) + nulls
        assert bag.repeated().to_pylist() == sorted(value for value, count in held.items() if count > 1)


def test_repeats_are_found_across_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_bag, "_SLICE", 2)
    bag = IdBag()
    bag.add(pa.array(list("abcdefg") + list("cdg") + ["g"]))
    bag.add(pa.array(["x", "y"]).slice(1))
    assert bag.distinct() == 8
    assert bag.repeated().to_pylist() == ["c", "d", "g"]
