"""Whatever a run is triggered with: a window whose SOQL holds well-formed moments only, or a readable refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.salesforce import soql
from include.salesforce.filters import window_span
from include.salesforce.window import WindowRefused, plan_window
from local.org import soql as org_soql
from salesforce_history.operators import run_request
from salesforce_history.params import ParamRefused
from tests.hostile.conftest import Tried
from tests.hostile.vocabulary import TEXTS, any_texts

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
#: Words of a refusal that tell what to give instead.
REMEDY = re.compile(r"such as |without quotes|Clear one|leave it empty")
LONGEST_MESSAGE = 700

MOMENTS = (
    "2026-01-05T06:00:00Z' OR Id != '",
    "2026-01-05T06:00:00Z OR Name != null",
    "2026-01-05T06:00:00Z) --",
    "2026-01-05T06:00:00Z\n",
    " 2026-01-05T06:00:00Z",
    "2026-01-05T06:00:00z",
    "2026-01-05t06:00:00Z",
    "2026-01-05",
    "2026-01-05 06:00",
    "2026-01-05T06:00:00.123456789Z",
    "2026-01-05T06:00:00.9999995Z",
    "2026-01-05T06:00:60Z",
    "2016-12-31T23:59:60Z",
    "2026-01-05T24:00:00Z",
    "2026-02-29T00:00:00Z",
    "2026-01-05T06:00:00+14:00",
    "2026-01-05T06:00:00+0530",
    "2026-01-05T06:00:00+99:99",
    "2026-01-05T06:00:00+00:00:01",
    "2026-01-05T06:00:00-23:59",
    "2026-01-05T06:00:00Europe/Berlin",
    "2026-01-05T06:00:00[UTC]",
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "1699-12-31T23:59:59Z",
    "1700-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59.999999-14:00",
    "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "20260105T060000Z",
    "2026-W01-1",
    "2026-005",
    "1767593600",
    "２０２６-01-05T06:00:00Z",
    "٢٠٢٦-٠١-٠٥",
    "now",
    "YESTERDAY",
    "LAST_N_DAYS:30",
    "{{ ds }}",
    "{{ 1/0 }}",
    "nan",
    "Z",
    "2026-01-05T06:00:00ZZ",
    "2026-01-05T06:00:00\u2212" + "01:00",
    "\ud800",
    "\x00",
    "x" * 131_072,
    "9" * 131_072,
)
OTHERS = (
    *(0, 1, -1, 20260105, 1767593600, 10**400, 1.5, float("nan"), float("inf"), True, False),
    *([], {}, ["2026-01-05T06:00:00Z"], {"since": "2026-01-05"}, [[[[[]]]]], ["x" * 10_000], (), b"2026-01-05"),
    *(datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 5), date(2026, 1, 5), timedelta(1), object()),
)
ANYTHING = st.one_of(
    st.sampled_from(MOMENTS + TEXTS),
    st.sampled_from(OTHERS),
    any_texts(max_size=300),
    st.datetimes(timezones=st.just(UTC)).map(str),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.integers(),
    st.floats(),
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), st.lists, max_leaves=20),
)
#: What Airflow may say of a run, from the year 1 to 9999.
AWARE = st.one_of(
    st.sampled_from((datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), NOON, NOON - 6 * HOUR)),
    st.datetimes(timezones=st.sampled_from((UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))))),
)


def outcome(params: Any, dag_run: Mapping[str, Any] | None = None) -> str | None:
    """Plan a run's window, and hold the queries that would read it against the org's own parser.

    :return: the refusal; None where the run has a window.
    """
    run = {"run_type": "manual", "run_after": NOON, "logical_date": NOON, "data_interval_start": None}
    run |= {"data_interval_end": None} | dict(dag_run or {})
    try:
        request = run_request({"dag_run": SimpleNamespace(**run), "params": params})  # type: ignore[typeddict-item]
        window = plan_window(
            request,
            watermark=NOON - 2 * HOUR,
            last_full_refresh=NOON - 48 * HOUR,
            lake_is_empty=False,
            lookback=HOUR,
            full_refresh_every=timedelta(days=7),
            now=NOON,
        )
    except (ParamRefused, WindowRefused) as refused:
        return str(refused)
    span = window_span(window, cursor="SystemModstamp", created="CreatedDate", read_start=NOON)
    for part in (span, *(span.halves() or ())):
        query = soql.select(fields=["Id"], object_name="User", where=part.where)
        parsed = org_soql.parse(query).where
        bounds = parsed.parts if isinstance(parsed, org_soql.Combination) else (parsed,)
        for bound in bounds:
            assert isinstance(bound, org_soql.Comparison)
            assert [value.kind for value in bound.values] == ["dateTime"]
            assert bound.field.text in {"SystemModstamp", "CreatedDate"}
        assert len(bounds) <= 2
    return None


def check(refusal: str | None) -> None:
    """A refusal is one readable, bounded line that names what to give."""
    if refusal is not None:
        assert REMEDY.search(refusal), refusal
        assert len(refusal) < LONGEST_MESSAGE
        assert refusal.isprintable(), refusal
        refusal.encode("utf-8")


def test_moments_by_hand(tried: Tried) -> None:
    passed = set()
    for value in MOMENTS + TEXTS + OTHERS:
        for name in ("since", "until"):
            refusal = outcome({name: value})
            check(refusal)
            tried("Params")
            if refusal is None:
                passed.add(value)
            elif value not in ("9999-12-31T23:59:59Z",):
                assert f"{name} is " in refusal
    assert passed == {
        "2026-01-05T06:00:00Z\n",
        " 2026-01-05T06:00:00Z",
        "2026-01-05T06:00:00Z",
        "2026-01-05T06:00:00z",
        "2026-01-05t06:00:00Z",
        "2026-01-05",
        "2026-01-05 06:00",
        "2026-01-05T06:00:00+14:00",
        "2026-01-05T06:00:00+0530",
        "2026-01-05T06:00:00-23:59",
        "1700-01-01T00:00:00Z",
    }


@pytest.mark.parametrize("name", ["since", "until"])
def test_soql_in_a_param_is_refused_by_name_with_its_value_and_an_example(name: str, tried: Tried) -> None:
    said = outcome({name: "2026-01-05T06:00:00Z OR Name != null"})
    assert said == (
        f"Param {name} is '2026-01-05T06:00:00Z OR Name != null'; give a date and time such as 2026-01-05T06:00:00Z "
        "(no zone means UTC), or leave it empty. Trigger the run again."
    )
    tried("Params")


@pytest.mark.parametrize("value", ["false", "true", "no", "", "0", 0, 1, 1.0, [], {}, [True], "' OR 1=1"], ids=repr)
def test_a_flag_is_true_or_false_or_refused(value: Any, tried: Tried) -> None:
    said = outcome({"full_refresh": value})
    assert said is not None
    assert said.startswith(f"Param full_refresh is {value!r}; give true or false")
    tried("Params")


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(since=ANYTHING, until=ANYTHING, full_refresh=ANYTHING)
def test_any_params(tried: Tried, since: Any, until: Any, full_refresh: Any) -> None:
    for params in ({"since": since}, {"until": until}, {"since": since, "until": until, "full_refresh": full_refresh}):
        check(outcome(params))
        tried("Params")


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    run_type=st.sampled_from(("scheduled", "backfill", "manual", "asset_triggered", "'; drop", None)),
    start=st.none() | AWARE,
    end=st.none() | AWARE,
    logical_date=st.none() | AWARE,
    run_after=AWARE,
    since=ANYTHING,
)
def test_any_run(tried: Tried, since: Any, **dag_run: Any) -> None:
    dag_run["data_interval_start"], dag_run["data_interval_end"] = dag_run.pop("start"), dag_run.pop("end")
    for params in ({}, {"since": since}, {"full_refresh": True}):
        outcome(params, dag_run)
        tried("Params")
