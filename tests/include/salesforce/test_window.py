"""Which span a run reads: every rule of the windows, as a table."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.salesforce.window import RunRequest, WindowRefused, plan_window
from include.staging.manifest import Window

HOUR = timedelta(hours=1)


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2026, 1, number, hour, tzinfo=UTC)


def plan(request: RunRequest, **lake: Any) -> Window:
    remembered: dict[str, Any] = {
        "watermark": day(10, 6),
        "last_full_refresh": day(8),
        "lake_is_empty": False,
        "lookback": HOUR,
        "full_refresh_every": timedelta(days=7),
        "now": day(25),
    }
    return plan_window(request, **{**remembered, **lake})


def scheduled(start: datetime, end: datetime, **more: Any) -> RunRequest:
    return RunRequest(kind="scheduled", run_after=end, logical_date=start, interval=(start, end), **more)


def manual(**more: Any) -> RunRequest:
    return RunRequest(kind="manual", **{"run_after": day(10, 12), **more})


@pytest.mark.parametrize(
    ("case", "request_", "start", "end"),
    [
        ("scheduled, watermark at its start", scheduled(day(10, 6), day(10, 12)), day(10, 5), day(10, 12)),
        (
            "scheduled after downtime: the watermark is older",
            scheduled(day(10, 12), day(10, 18)),
            day(10, 5),
            day(10, 18),
        ),
        ("scheduled late: the interval is older", scheduled(day(10, 0), day(10, 6)), day(9, 23), day(10, 6)),
        ("manual with a logical date", manual(logical_date=day(10, 11)), day(10, 5), day(10, 11)),
        ("manual with logical_date null", manual(), day(10, 5), day(10, 12)),
        ("manual since", manual(since=day(9)), day(9), day(10, 12)),
        ("manual until", manual(until=day(10, 8)), day(10, 5), day(10, 8)),
        ("manual since and until", manual(since=day(3), until=day(4)), day(3), day(4)),
        (
            "backfill: exactly its interval",
            RunRequest(kind="backfill", run_after=day(10, 12), interval=(day(2), day(2, 6))),
            day(1, 23),
            day(2, 6),
        ),
    ],
)
def test_window_of_a_run(case: str, request_: RunRequest, start: datetime, end: datetime) -> None:
    window = plan(request_)
    assert (window.start, window.end, window.full_refresh) == (start, end, False), case


@pytest.mark.parametrize(
    ("case", "request_", "lake", "refresh"),
    [
        ("an empty lake is read in full by every run", manual(since=day(9)), {"lake_is_empty": True}, True),
        ("a backfill of an empty lake too", scheduled(day(1), day(2)), {"lake_is_empty": True}, True),
        ("no watermark is an empty lake", manual(), {"watermark": None}, True),
        ("asked for", manual(full_refresh=True), {}, True),
        ("due after exactly seven days", scheduled(day(15), day(15, 6)), {"last_full_refresh": day(8, 6)}, True),
        ("not due a second before", scheduled(day(15), day(15, 6)), {"last_full_refresh": day(8, 7)}, False),
        ("manual without bounds becomes due", manual(run_after=day(20), logical_date=day(20)), {}, True),
        ("manual with since does not", manual(run_after=day(20), since=day(19)), {}, False),
        ("manual with until does not", manual(run_after=day(20), until=day(19)), {}, False),
        (
            "a backfill does not",
            RunRequest(kind="backfill", run_after=day(20), interval=(day(19), day(19, 6))),
            {},
            False,
        ),
        ("no complete refresh on record", manual(), {"last_full_refresh": None}, True),
    ],
)
def test_when_a_full_refresh_is_due(case: str, request_: RunRequest, lake: dict[str, Any], refresh: bool) -> None:
    window = plan(request_, **lake)
    assert window.full_refresh is refresh, case
    assert (window.start is None) is refresh, case


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (manual(until=day(11)), "until is 2026-01-11T00:00:00Z, but at the org it is 2026-01-10T12:00:00Z"),
        (manual(logical_date=day(30)), "would end at 2026-01-30T00:00:00Z, but at the org it is 2026-01-10T12:00:00Z"),
        (scheduled(day(11), day(11, 6)), "the future cannot be read"),
        (manual(since=day(10, 12)), "since is 2026-01-10T12:00:00Z, at or after the window's end"),
        (manual(since=day(9), full_refresh=True), "since and full_refresh exclude each other"),
        (RunRequest(kind="scheduled", run_after=day(10)), "has no data interval"),
    ],
)
def test_a_window_that_cannot_be_read_is_refused(request_: RunRequest, words: str) -> None:
    with pytest.raises(WindowRefused, match=words):
        plan(request_, now=day(10, 12))


def test_a_small_difference_of_clocks_is_made_good_by_the_lookback() -> None:
    assert plan(scheduled(day(10, 6), day(10, 12)), now=day(10, 11)).end == day(10, 12)


def test_a_run_wholly_before_the_watermark_reads_nothing_and_says_so() -> None:
    window = plan(manual(logical_date=day(10, 3)))
    assert window.start == window.end == day(10, 3)
    assert "nothing to read" in window.reason
