"""The dbt project on a real Trino: what tests/dbt shows on DuckDB holds there too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from tests.dbt import test_history_flow as flow
from tests.dbt import test_schema_change as schema
from tests.dbt import test_snapshot as snapshot
from tests.dbt.conftest import HistoryLake
from tests.dbt.test_rules_of_history import test_every_rule_holds
from tests.dbt.test_schema_change import grown
from tests.engines.engines import Engine, failures

__all__ = ["grown", "test_every_rule_holds"]

pytestmark = pytest.mark.trino


@pytest.fixture
def history_lake(on_trino: Engine) -> HistoryLake:
    """A lake on Trino. The critical tests run in every build, the others in those of the snapshot's scenes."""
    return HistoryLake(on_trino, spared=("test_name:not_null", "test_name:unique", "test_name:accepted_values"))


SCENES = [
    flow.test_a_dimension_without_observations_is_empty,
    partial(flow.test_increments_equal_a_rebuild_whatever_arrives_first, order=(2, 0, 1)),
    flow.test_a_run_without_news_changes_nothing,
    flow.test_rows_that_did_not_change_are_not_written_again,
    flow.test_a_batch_of_a_known_run_that_arrives_later_is_consumed,
    flow.test_versions_that_no_longer_follow_from_the_log_are_deleted,
    flow.test_a_rebuild_forgets_records_that_the_log_has_forgotten,
    flow.test_a_crash_before_the_ledger_is_written_consumes_the_batch_again,
    flow.test_a_batch_that_arrives_between_two_models_is_left_for_the_next_run,
    partial(flow.test_an_audit_that_fails_stops_the_run_before_the_dimension_is_touched, flags=[]),
    partial(flow.test_dates_at_the_ends_of_the_calendar, year="0001"),
    partial(flow.test_dates_at_the_ends_of_the_calendar, year="9999"),
    flow.test_a_column_that_the_dimension_lacks_is_added,
    flow.test_a_build_of_nothing_closes_nothing,
    flow.test_a_batch_that_was_not_merged_is_not_marked_consumed,
    flow.test_a_rebuild_over_the_versions_of_some_records_is_refused,
    flow.test_a_rebuild_from_an_empty_log_is_refused,
    snapshot.test_the_snapshot_follows_the_mirror_and_agrees_with_the_dimension,
]


def _named(scene: Callable[..., None]) -> str:
    if isinstance(scene, partial):
        return f"{scene.func.__name__}[{', '.join(map(str, scene.keywords.values()))}]"
    return scene.__name__


@pytest.mark.parametrize("scene", SCENES, ids=_named)
def test_scene(history_lake: HistoryLake, scene: Callable[..., None]) -> None:
    scene(history_lake)


def test_a_field_is_added(history_lake: HistoryLake, grown: schema.Change) -> None:
    schema.test_a_tracked_field_added_later_opens_no_version_by_its_first_observation(history_lake, grown, ())


def test_the_dimension_is_partitioned_as_designed(history_lake: HistoryLake) -> None:
    history_lake.history()
    fields = [(field.name, str(field.transform)) for field in history_lake.dimension().spec().fields]
    assert fields == [("is_current", "identity"), ("user_id_bucket", "bucket[8]")]
    assert history_lake.dimension().format_version == 2


def test_working_tables_are_dropped_after_an_erasure(history_lake: HistoryLake, on_trino: Engine) -> None:
    history_lake.log(history_lake.observation("005A", "2026-01-01"))
    history_lake.history()
    dropped = history_lake.dbt("run-operation", "drop_intermediate_tables", "--args", "{noun: user}")
    assert dropped.success, failures(dropped)
    tables = {name for _, name in on_trino.catalog.list_tables(on_trino.environment.curated_namespace)}
    assert tables == {"dim_sf_user_scd", "sf_user_consumed", "sf_account_consumed"}
    history_lake.history("--full-refresh")
    assert [row["user_id"] for row in history_lake.versions()] == ["005A"]
