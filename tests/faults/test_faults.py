"""Every case of `make faults`, one test each: the lake afterwards holds what a calm run would have left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.faults.cases import Case
from local.faults.register import everything
from local.faults.story import Story
from local.faults.trial import Trials, trials


@pytest.fixture(scope="module")
def bench() -> Iterator[Trials]:
    """One org that lives through the little world."""
    with trials() as started:
        yield started


@pytest.mark.parametrize("case", everything(), ids=lambda case: case.name)
def test_nothing_is_lost_and_nothing_invented(bench: Trials, case: Case | Story) -> None:
    outcome = bench.attempt(case)
    assert outcome.problems == ()
    assert outcome.rows > (1000 if isinstance(case, Case) else 0)


def test_there_are_enough_cases_and_each_has_a_name() -> None:
    names = [case.name for case in everything()]
    assert len(names) == len(set(names)) >= 40
