"""What is out of range, and that it is told of when it begins and not while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.alerts.anomaly import KINDS, as_column, find_anomalies, has_begun
from include.config.object_file import ExpectedRows

EXPECTED = ExpectedRows(typical=5_000, minimum=4_000, maximum=6_000)
BEGAN = datetime(2026, 1, 5, tzinfo=UTC)


def live(history: Sequence[tuple[int | None, float]], expected: ExpectedRows | None = EXPECTED) -> list[dict[str, Any]]:
    """Runs one after the other, each with its number of records and its score: what each recorded and told."""
    rows: list[dict[str, Any]] = []
    for number, (records, score) in enumerate(history):
        found = find_anomalies(live_records=records, quality_score=score, expected_rows=expected, earlier=rows)
        recorded_at = BEGAN + timedelta(hours=6 * number)
        told = [str(anomaly) for anomaly in found] if has_begun(found) else []
        rows.append({"live_records": records, "anomalies": as_column(found), "recorded_at": recorded_at, "told": told})
    return rows


def kinds(*history: int, expected: ExpectedRows | None = EXPECTED) -> str | None:
    """What the last run of a history of counts recorded."""
    last: str | None = live([(records, 100.0) for records in history], expected)[-1]["anomalies"]
    return last


@pytest.mark.parametrize(
    ("count", "found"),
    [
        (4_000, None),
        (6_000, None),
        (3_999, "too_few_records"),
        (6_001, "too_many_records"),
        (0, "too_few_records"),
    ],
)
def test_the_expected_range(count: int, found: str | None) -> None:
    assert kinds(count) == found


@pytest.mark.parametrize(
    ("count", "found"),
    [
        (4_000, None),  # 20 % exactly
        (3_999, "too_few_records, fewer_records_than_usual"),
        (6_000, None),
        (6_001, "too_many_records, more_records_than_usual"),
    ],
)
def test_the_usual_number(count: int, found: str | None) -> None:
    assert kinds(5_000, 4_900, 5_100, count) == found


def test_two_runs_are_no_habit() -> None:
    assert kinds(50, 50, 500, expected=None) is None
    assert kinds(50, 50, 50, 500, expected=None) == "more_records_than_usual"


def test_an_object_file_may_allow_more(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = ExpectedRows(typical=50, minimum=0, maximum=1_000, alert_deviation_percent=50)
    assert kinds(100, 100, 100, 150, expected=wide) is None
    assert kinds(100, 100, 100, 151, expected=wide) == "more_records_than_usual"


def test_an_empty_object_that_fills_up() -> None:
    assert kinds(0, 0, 0, 0, expected=None) is None
    assert kinds(0, 0, 0, 1, expected=None) == "more_records_than_usual"


def test_only_the_last_ten_runs_are_usual() -> None:
    assert kinds(*[10] * 20, *[12] * 6, 14, expected=None) is None, "a growth that goes on is the new habit"
    assert kinds(*[10] * 20, 14, expected=None) == "more_records_than_usual"


@pytest.mark.parametrize(("score", "found"), [(100.0, None), (95.0, None), (94.99, "low_quality"), (None, None)])
def test_the_quality_score(score: float, found: str | None) -> None:
    assert live([(5_000, score)])[-1]["anomalies"] == found


def test_runs_without_a_count_are_passed_over() -> None:
    rows = live([(5_000, 100), (None, 100), (5_000, 100), (None, 100), (5_000, 100), (3_900, 100)])
    assert rows[-1]["anomalies"] == "too_few_records, fewer_records_than_usual"
    assert "of 5,000, the median of the last 3 runs" in rows[-1]["told"][1]


def test_an_anomaly_is_told_when_it_begins_and_not_while_it_goes_on() -> None:
    rows = live([(5_000, 100), (3_000, 100), (3_000, 100), (3_100, 100), (5_000, 100), (3_000, 100)])
    assert [len(row["told"]) for row in rows] == [0, 1, 0, 0, 0, 1]
    assert rows[1]["told"] == ["3,000 records, expected 4,000 to 6,000, since this run"]


def test_another_kind_is_told_with_what_goes_on_and_since_when() -> None:
    rows = live([(5_000, 100), (3_000, 100), (3_000, 100), (3_000, 90), (3_000, 90), (5_000, 90)])
    assert [len(row["told"]) for row in rows] == [0, 1, 0, 2, 0, 0]
    assert rows[3]["told"] == [
        "3,000 records, expected 4,000 to 6,000, since 2026-01-05 06:00 UTC",
        "quality score 90, expected 95 or more, since this run",
    ]
    assert rows[5]["anomalies"] == "low_quality"


def test_what_comes_back_is_no_anomaly_even_if_its_lack_has_become_usual() -> None:
    rows = live([(5_000, 100)] * 3 + [(3_000, 100)] * 4 + [(5_000, 100)], None)
    assert [row["anomalies"] for row in rows[3:]] == ["fewer_records_than_usual"] * 4 + [None]
    assert sum(bool(row["told"]) for row in rows) == 1


def test_what_lasts_becomes_usual() -> None:
    rows = live([(5_000, 100)] * 3 + [(3_000, 100)] * 9 + [(5_000, 100)], None)
    assert [row["anomalies"] for row in rows[3:12]] == ["fewer_records_than_usual"] * 4 + [None] * 5
    assert rows[12]["told"] == [
        "5,000 records, expected within 20 % of 3,000, the median of the last 10 runs, since this run"
    ]


def test_one_that_ends_while_another_goes_on_is_not_told() -> None:
    rows = live([(3_000, 90), (5_000, 90), (5_000, 100)])
    assert [len(row["told"]) for row in rows] == [2, 0, 0]


def test_a_swing_from_one_side_to_the_other_is_told() -> None:
    rows = live([(3_000, 100), (7_000, 100)])
    assert [row["anomalies"] for row in rows] == ["too_few_records", "too_many_records"]
    assert all(row["told"] for row in rows)


def test_every_kind_is_reached_above() -> None:
    histories = [[(3_000, 90.0)], [(7_000, 100.0)], [(5_000, 100.0)] * 3 + [(3_000, 100.0)]]
    histories.append([(5_000, 100.0)] * 3 + [(7_000, 100.0)])
    found = {kind for history in histories for row in live(history) for kind in (row["anomalies"] or "").split(", ")}
    assert found >= set(KINDS)
