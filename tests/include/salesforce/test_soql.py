"""No value reaches a query unchecked, and bounds do not move rows from one window to the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.salesforce import soql
from include.salesforce.ids import to_18


@pytest.mark.parametrize("name", ["Id", "Audit_Phase__c", "ns__Field__c", "X1"])
def test_api_names_pass(name: str) -> None:
    assert soql.identifier(name) == name


@pytest.mark.parametrize(
    "name", ["", "Id FROM User--", "a b", "1a", "_a", "a'", "a;b", "Näme", "a\n", "a" * 81, "Owner.Name", "COUNT()"]
)
def test_anything_else_is_refused_by_name(name: str) -> None:
    with pytest.raises(soql.UnsafeSoql, match="not an API name"):
        soql.identifier(name)


def test_queries_are_built_from_their_parts() -> None:
    where = soql.between(field="SystemModstamp", start=datetime(2026, 1, 5, tzinfo=UTC), end=None)
    assert (
        soql.select(fields=["Id", "Name"], object_name="User", where=where, order_by=["SystemModstamp", "Id"])
        == "SELECT Id, Name FROM User WHERE SystemModstamp >= 2026-01-05T00:00:00Z ORDER BY SystemModstamp, Id"
    )
    assert soql.count(object_name="User") == "SELECT COUNT() FROM User"
    with pytest.raises(soql.UnsafeSoql, match="User WHERE"):
        soql.count(object_name="User WHERE Id != null")


def test_moments_are_utc_and_as_fine_as_need_be() -> None:
    assert soql.moment(datetime(2026, 1, 5, 6, tzinfo=UTC)) == "2026-01-05T06:00:00Z"
    assert soql.moment(datetime(2026, 1, 5, 6, tzinfo=timezone(timedelta(hours=-5)))) == "2026-01-05T11:00:00Z"
    assert soql.moment(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"
    assert soql.moment(datetime(2026, 1, 5, 6, 0, 0, 250_000, tzinfo=UTC)) == "2026-01-05T06:00:00.250Z"
    with pytest.raises(soql.UnsafeSoql, match="no time zone"):
        soql.moment(datetime(2026, 1, 5))


@given(
    bound=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),
    ahead=st.integers(-2000, 2000),
)
def test_rounding_a_bound_moves_no_value_that_salesforce_can_hold(bound: datetime, ahead: int) -> None:
    held = bound.replace(microsecond=bound.microsecond // 1000 * 1000) + timedelta(milliseconds=ahead)
    literal = datetime.fromisoformat(soql.moment(bound))
    assert (held < literal) == (held < bound)


@pytest.mark.parametrize(
    ("text", "literal"),
    [("O'Neil", r"'O\'Neil'"), ("a\\", r"'a\\'"), ("x\ny", r"'x\ny'"), ("' OR Name != '", r"'\' OR Name != \''")],
)
def test_strings_are_escaped(text: str, literal: str) -> None:
    assert soql.quoted(text) == literal


@pytest.mark.parametrize("text", ["\x00", "\ud800"])
def test_what_no_query_can_carry_is_refused(text: str) -> None:
    with pytest.raises(soql.UnsafeSoql, match="cannot carry"):
        soql.quoted(text)


def test_ids_get_their_suffix() -> None:
    assert to_18("00Dx0000000BV7z") == "00Dx0000000BV7zEAG"
    assert to_18("0014W000027f6UyQAI") == "0014W000027f6UyQAI"
    assert to_18("0014W000027f6Uy") == "0014W000027f6UyQAI"
    with pytest.raises(ValueError, match="not a Salesforce id"):
        to_18("00D")
