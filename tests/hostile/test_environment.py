"""Settings are names of databases, folders and numbers: what is none of these is refused, by variable and value."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings

from include.config.environment import PREFIX, Environment, UnknownEnvironment, current_environment
from tests.hostile.conftest import Tried
from tests.hostile.vocabulary import TEXTS, any_texts

NAMESPACES = ("raw_namespace", "curated_namespace", "operations_namespace")
NUMBERS = ("retry_delay_seconds", "max_api_usage_percentage", "api_usage_recheck_seconds", "api_usage_patience_seconds")
CHOICES = ("dbt_target", "dbt_execution")
LIGHTLY = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def verdict(name: str, value: str) -> Environment | None:
    """The environment with one setting, None where it is refused, readably."""
    variable = f"{PREFIX}{name.upper()}"
    try:
        return current_environment({variable: value})
    except UnknownEnvironment as refused:
        said = str(refused)
        assert said.startswith(f"{variable} is ")
        assert repr(value)[:60].rstrip("'\"") in said
        assert said.isprintable()
        assert len(said) < 500
        assert re.search(r"allowed|should|must|Input", said)
        return None


@LIGHTLY
@given(value=any_texts())
@example(value="sf_raw; drop schema sf_curated cascade")
@example(value="sf_raw\n")
@example(value="sf_raw.sf_user")
@example(value='sf_raw"')
@example(value="sf_räw")
@example(value="x" * 131_072)
def test_a_namespace_is_a_plain_name_or_refused(tried: Tried, value: str) -> None:
    for name in NAMESPACES:
        tried("settings")
        found = verdict(name, value)
        if found is not None and value:
            assert re.fullmatch(r"[a-z][a-z0-9_]{0,60}", getattr(found, name))


@LIGHTLY
@given(value=any_texts())
@example(value="nan")
@example(value="inf")
@example(value="1e400")
@example(value="9" * 5000)
@example(value="-1")
@example(value="٣")
def test_a_number_is_a_number_in_its_bounds_or_refused(tried: Tried, value: str) -> None:
    for name in NUMBERS:
        tried("settings")
        found = verdict(name, value)
        if found is not None:
            assert 0 <= getattr(found, name) <= 10**9


@LIGHTLY
@given(value=any_texts())
def test_a_choice_is_one_of_those_that_exist_or_refused(tried: Tried, value: str) -> None:
    for name in CHOICES:
        tried("settings")
        verdict(name, value)
    tried("settings")
    try:
        current_environment({f"{PREFIX}ENV": value})
    except UnknownEnvironment as refused:
        assert str(refused).isprintable()
        assert str(refused).endswith("allowed are local, development, staging, production")
        assert len(str(refused)) < 300


@LIGHTLY
@given(value=any_texts())
def test_folders_and_connection_names_hold_no_control_characters(tried: Tried, value: str) -> None:
    for name in (
        "lake",
        "staging_uri",
        "salesforce_conn_id",
        "iceberg_conn_id",
        "dbt_executable",
        "dbt_pool",
        "dbt_project",
    ):
        tried("settings")
        found = verdict(name, value)
        if found is not None:
            assert str(getattr(found, name)).isprintable()


@pytest.mark.parametrize("value", [text for text in TEXTS if not text.isprintable()], ids=repr)
def test_what_garbles_a_log_is_refused(value: str, tried: Tried) -> None:
    tried("settings")
    assert verdict("staging_uri", value) is None
