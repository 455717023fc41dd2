"""The two scores, by the formulas that docs/metrics.md states: its worked examples are recomputed here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from include.quality.score import LOWEST_GOOD_SCORE, RATED_RUNS, quality_score, success_rate

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
NUMBER = r"([\d,.]+)"


def numbers(pattern: str) -> list[float]:
    found = re.search(pattern, DOCS)
    assert found, f"docs/metrics.md has no line like {pattern}"
    return [float(number.replace(",", "")) for number in found.groups()]


def test_the_quality_score_of_the_docs_is_what_the_code_says() -> None:
    accepted, same, quarantined, failed, warned, tests, score = numbers(
        rf"100 × {NUMBER} ÷ \({NUMBER} \+ {NUMBER}\) × \(1 − \({NUMBER} \+ ½ × {NUMBER}\) ÷ {NUMBER}\) = {NUMBER}"
    )
    assert accepted == same
    told = {"accepted": accepted, "quarantined": quarantined, "tests": tests, "failed": failed, "warned": warned}
    assert quality_score(**{name: int(number) for name, number in told.items()}) == score
    assert score < LOWEST_GOOD_SCORE, "the example is one that is told of"


def test_the_success_rate_of_the_docs_is_what_the_code_says() -> None:
    published, reached, rate = numbers(rf"100 × {NUMBER} ÷ {NUMBER} = {NUMBER}\n")
    assert reached == RATED_RUNS
    assert success_rate([True] * int(published) + [False] * int(reached - published)) == rate


@pytest.mark.parametrize(
    ("records", "tests", "score"),
    [
        ((5_000, 0), (22, 0, 0), 100.0),  # a clean run
        ((0, 0), (22, 0, 0), 100.0),  # nothing had changed
        ((0, 0), (0, 0, 0), 100.0),  # nothing was read, no test ran
        ((95, 5), (22, 0, 0), 95.0),  # as many rejects as are let pass: not yet told of
        ((94, 6), (22, 0, 0), 94.0),
        ((0, 10), (22, 0, 0), 0.0),
        ((100, 0), (22, 0, 2), 95.45),
        ((100, 0), (22, 0, 3), 93.18),
        ((100, 0), (22, 1, 0), 95.45),
        ((100, 0), (2, 2, 0), 0.0),
        ((99, 1), (0, 0, 0), 99.0),
    ],
)
def test_quality_score(records: tuple[int, int], tests: tuple[int, int, int], score: float) -> None:
    (accepted, quarantined), (ran, failed, warned) = records, tests
    found = quality_score(accepted=accepted, quarantined=quarantined, tests=ran, failed=failed, warned=warned)
    assert found == score


def test_success_rate() -> None:
    assert success_rate([]) is None
    assert success_rate([False]) == 0.0
    assert success_rate([True, False, True]) == 66.67
    assert success_rate([False] * 100 + [True] * RATED_RUNS) == 100.0, "what is long ago is forgotten"
