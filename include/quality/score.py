"""Two numbers that say how well things go: the quality score of a run, and the success rate of an object's history.

docs/metrics.md states both formulas with a worked example, which a test recomputes.
"""

from __future__ import annotations

from collections.abc import Sequence

#: A score under this is told of.
LOWEST_GOOD_SCORE = 95.0
#: Runs that the success rate looks back on, the latest one included.
RATED_RUNS = 20

#: A test that warned weighs half of one that failed: what it found was published, and readers may live with it.
_WEIGHT_OF_A_WARNING = 0.5


def quality_score(*, accepted: int, quarantined: int, tests: int, failed: int, warned: int) -> float:
    """100 × accepted ÷ (accepted + quarantined) × (1 − (failed + ½ warned) ÷ tests).

    Where nothing was read, or no test ran, that factor is 1: there was nothing to find fault with.

    :param accepted: records that validate accepted.
    :param quarantined: records that it rejected.
    :param tests: dbt tests that ran.
    :param failed: those that failed.
    :param warned: those that warned.
    :return: 0 to 100, two decimals.
    """
    read = accepted + quarantined
    records = accepted / read if read else 1.0
    untroubled = 1 - (failed + _WEIGHT_OF_A_WARNING * warned) / tests if tests else 1.0
    return round(100 * records * untroubled, 2)


def success_rate(published: Sequence[bool]) -> float | None:
    """100 × runs that published ÷ runs whose records reached the log, over the last `RATED_RUNS` of the latter.

    :param published: of each such run whether it published, oldest first.
    :return: 0 to 100, two decimals; None while there is no such run.
    """
    rated = published[-RATED_RUNS:]
    return round(100 * sum(rated) / len(rated), 2) if rated else None
