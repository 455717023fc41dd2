"""Which span of cursors a run reads. A pure function of the run, its Params and what the lake remembers.

Lower bounds are inclusive, upper bounds exclusive. The watermark is the cursor up to which nothing is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from include.staging.manifest import RunKind, Window

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class WindowRefused(ValueError):
    """The run's Params ask for a window that cannot be read. The message says which value, and what is allowed."""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What the run itself says, as Airflow knows it.

    :param kind: scheduled, manual (the UI, the CLI and `dags test`) or backfill.
    :param run_after: when Airflow meant the run to start.
    :param logical_date: None for a trigger without one.
    :param interval: the data interval; None where there is none (`logical_date: null`).
    :param since: Param: read from this cursor on.
    :param until: Param: read up to this cursor.
    :param full_refresh: Param: read everything.
    """

    kind: RunKind
    run_after: datetime
    logical_date: datetime | None = None
    interval: tuple[datetime, datetime] | None = None
    since: datetime | None = None
    until: datetime | None = None
    full_refresh: bool = False


def plan_window(
    request: RunRequest,
    *,
    watermark: datetime | None,
    last_full_refresh: datetime | None,
    lake_is_empty: bool,
    lookback: timedelta,
    full_refresh_every: timedelta,
    now: datetime,
) -> Window:
    """Decide what a run reads.

    :param request: the run.
    :param watermark: the mirror's watermark, None before the first load.
    :param last_full_refresh: window end of the last complete refresh.
    :param lake_is_empty: there is no mirror, or it has no rows.
    :param lookback: how far before the watermark to read again.
    :param full_refresh_every: age of the last complete refresh at which one is due.
    :param now: the org's clock; nothing later can have been seen.
    :raises WindowRefused: a future `until`, a window that ends after the org's clock (by more than the lookback, which
        makes good what a small difference of clocks hides), `since` at or after `until`, or since beside full_refresh.
    """
    end = _end(request)
    if request.kind == "manual":
        _check_params(request, end, now)
    if end > now + lookback:
        raise WindowRefused(
            f"the window would end at {_iso(end)}, but at the org it is {_iso(now)}: the future cannot be read: its "
            "watermark would hide what happens until then. Trigger with a logical date in the past; if the date is "
            "right, the clock of Airflow's machine, or of the org, is wrong."
        )
    refresh_reason = _full_refresh_reason(
        request,
        end,
        last_full_refresh=last_full_refresh,
        lake_is_empty=lake_is_empty or watermark is None,
        full_refresh_every=full_refresh_every,
    )
    if refresh_reason:
        return Window(start=None, end=end, kind=request.kind, full_refresh=True, reason=refresh_reason)
    start, reason = _start(request, watermark, lookback)
    if start >= end:
        start = end
        reason = (
            f"nothing to read: everything before {_iso(end)} has been read already. To read an older span again, "
            "trigger with both since and until, or run a backfill of its intervals"
        )
    return Window(start=start, end=end, kind=request.kind, full_refresh=False, reason=reason)


def _end(request: RunRequest) -> datetime:
    if request.kind == "manual":
        return _utc(request.until or request.logical_date or request.run_after)
    if request.interval is None:
        raise WindowRefused(f"a {request.kind} run has no data interval: the DAG needs a data interval timetable")
    return _utc(request.interval[1])


def _start(request: RunRequest, watermark: datetime | None, lookback: timedelta) -> tuple[datetime, str]:
    if request.kind == "backfill":
        assert request.interval is not None  # noqa: S101  (_end has refused the other case)
        return _before(request.interval[0], lookback), "exactly the backfilled interval, and the lookback before it"
    if request.since is not None:
        return _utc(request.since), "since was given"
    assert watermark is not None  # noqa: S101  (a lake without a watermark is read in full)
    if request.kind == "scheduled" and request.interval is not None and _utc(request.interval[0]) < watermark:
        return _before(request.interval[0], lookback), "the data interval, and the lookback before it"
    return _before(watermark, lookback), "from the watermark, and the lookback before it"


def _full_refresh_reason(
    request: RunRequest,
    end: datetime,
    *,
    last_full_refresh: datetime | None,
    lake_is_empty: bool,
    full_refresh_every: timedelta,
) -> str | None:
    if lake_is_empty:
        return "first load: the lake is empty"
    if request.full_refresh:
        return "a full refresh was asked for"
    if request.kind == "backfill" or request.since is not None or request.until is not None:
        return None
    if last_full_refresh is None:
        return "no complete refresh is on record"
    if end - last_full_refresh >= full_refresh_every:
        return f"due: the last complete refresh ended at {_iso(last_full_refresh)}"
    return None


def _check_params(request: RunRequest, end: datetime, now: datetime) -> None:
    if request.until is not None and _utc(request.until) > now:
        raise WindowRefused(
            f"until is {_iso(request.until)}, but at the org it is {_iso(now)}: the future cannot be read. "
            "Give a time in the past, or leave it empty for everything up to the run."
        )
    if request.since is not None and _utc(request.since) >= end:
        raise WindowRefused(
            f"since is {_iso(request.since)}, at or after the window's end {_iso(end)}. Give an earlier since, such as "
            f"{_iso(_before(end, timedelta(days=1)))}, or leave it empty to go on from the watermark."
        )
    if request.since is not None and request.full_refresh:
        raise WindowRefused("since and full_refresh exclude each other: a full refresh reads everything. Clear one.")


def _before(moment: datetime, lookback: timedelta) -> datetime:
    moment = _utc(moment)
    return moment - lookback if moment - _EARLIEST > lookback else _EARLIEST


def _utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise WindowRefused(f"{moment.isoformat()} has no time zone; give a moment such as 2026-01-05T06:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise WindowRefused(
            f"{moment.isoformat()} lies outside the years 0001 to 9999 in UTC; give a moment such as "
            "2026-01-05T06:00:00Z"
        ) from None


def _iso(moment: datetime) -> str:
    return _utc(moment).isoformat().replace("+00:00", "Z")
