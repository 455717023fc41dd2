"""What tests/dbt shows on DuckDB, through dbt-athena: the unit tests, what needs DDL, the ends of the calendar."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.athena.endpoint import Athena
from tests.athena.lake import athena_engine
from tests.dbt import test_history_flow as flow
from tests.dbt import test_schema_change as schema
from tests.dbt.conftest import HistoryLake
from tests.dbt.test_rules_of_history import test_every_rule_holds
from tests.dbt.test_schema_change import grown

# dbt-adapters #424: dbt-athena learns a model's types from a Hive table, which has milliseconds only. The rules of the
# history have a microsecond in them.
__all__ = ["grown", "test_every_rule_holds"]

pytestmark = pytest.mark.athena


@pytest.fixture
def history_lake(athena: Athena, tmp_path: Path) -> HistoryLake:
    """An empty lake on Athena, with the default names."""
    engine = athena_engine(athena, tmp_path)
    engine.empty()
    return HistoryLake(engine, spared=("test_name:not_null", "test_name:unique", "test_name:accepted_values"))


def test_increments_equal_a_rebuild(history_lake: HistoryLake) -> None:
    flow.test_increments_equal_a_rebuild_whatever_arrives_first(history_lake, (2, 0, 1))


def test_a_column_that_the_dimension_lacks_is_added(history_lake: HistoryLake) -> None:
    flow.test_a_column_that_the_dimension_lacks_is_added(history_lake)


def test_a_field_is_added(history_lake: HistoryLake, grown: schema.Change) -> None:
    schema.test_a_tracked_field_added_later_opens_no_version_by_its_first_observation(history_lake, grown, ())


def test_a_rebuild_over_the_versions_of_some_records_is_refused(history_lake: HistoryLake) -> None:
    flow.test_a_rebuild_over_the_versions_of_some_records_is_refused(history_lake)


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_dates_at_the_ends_of_the_calendar(history_lake: HistoryLake, year: str) -> None:
    flow.test_dates_at_the_ends_of_the_calendar(history_lake, year)
