"""Any text through quoting is the same text to the org's own parser; an identifier is an identifier, or refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from include.config.object_file import API_NAME
from include.salesforce import soql
from local.org import soql as org_soql
from local.org import timestamps
from local.org.errors import SalesforceError
from tests.hostile.conftest import Tried
from tests.hostile.vocabulary import TEXTS, any_texts, texts

LIGHTLY = settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


ZONES = (UTC, *(timezone(timedelta(minutes=minutes)) for minutes in (-12 * 60, -1, 330, 14 * 60)))


def literal_of(where: str) -> org_soql.Literal:
    """The one literal of a query with this condition, as the org reads it."""
    query = org_soql.parse(soql.select(fields=["Id"], object_name="User", where=where, order_by=["Id"]))
    assert isinstance(query.where, org_soql.Comparison)
    assert [query.sobject.text, *(name.text for name in query.fields)] == ["User", "Id"]
    (literal,) = query.where.values
    return literal


def check_quoting(value: str) -> None:
    """Quoted and parsed again, a text is what it was; `\\_` and `\\%` are LIKE's and stay as they are."""
    literal = literal_of(f"Name = {soql.quoted(value)}")
    assert (literal.kind, literal.value) == ("string", value)


def test_texts_by_hand(tried: Tried) -> None:
    for value in (*TEXTS, "x'" * 20_000, "\\" * 999, "\\_", "\\%", "\\' OR Name != '"):
        check_quoting(value)
        tried("SOQL")


@LIGHTLY
@given(value=texts(max_size=200))
def test_any_text_comes_back_from_quoting(tried: Tried, value: str) -> None:
    check_quoting(value)
    tried("SOQL")


@LIGHTLY
@given(value=any_texts())
def test_what_no_query_can_carry_is_refused(tried: Tried, value: str) -> None:
    tried("SOQL")
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        with pytest.raises(soql.UnsafeSoql, match="which SOQL cannot carry"):
            soql.quoted(value)
    else:
        check_quoting(value)


@LIGHTLY
@given(name=st.one_of(any_texts(max_size=100), st.from_regex(API_NAME), st.sampled_from(TEXTS)))
def test_an_identifier_is_one_name_or_refused(tried: Tried, name: str) -> None:
    tried("SOQL")
    try:
        checked = soql.identifier(name)
    except soql.UnsafeSoql as refused:
        assert "is not an API name" in str(refused)
        assert str(refused).isprintable()
        return
    assert checked == name
    assert name.isascii()
    try:
        query = org_soql.parse(soql.select(fields=[name, "Id"], object_name=name, where=f"{checked} = null"))
    except SalesforceError:
        # A word of the language itself: the org refuses it, and nothing else is read into it.
        assume(False)
    else:
        assert [field.text for field in query.fields] == [name, "Id"]
        assert query.sobject.text == name


@pytest.mark.parametrize("name", [None, 1, b"Id", ["Id"], {"Id"}, object, ""], ids=repr)
def test_what_is_no_text_is_no_identifier(name: Any, tried: Tried) -> None:
    with pytest.raises(soql.UnsafeSoql):
        soql.identifier(name)
    tried("SOQL")


@settings(LIGHTLY, max_examples=300)
@given(value=st.datetimes(timezones=st.sampled_from(ZONES)))
def test_any_moment_is_one_datetime_literal_or_refused(tried: Tried, value: datetime) -> None:
    tried("SOQL")
    try:
        text = soql.moment(value)
    except soql.UnsafeSoql as refused:
        assert "outside the years 0001 to 9999" in str(refused)
        return
    literal = literal_of(f"SystemModstamp >= {text}")
    assert literal.kind == "dateTime"
    exact = timestamps.parse_exact(value.astimezone(UTC).isoformat())
    assert 0 <= literal.value - exact < 0.001
