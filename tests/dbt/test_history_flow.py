"""Batches of the log become the dimension: incrementally or anew, in any order, audited, and only once."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest


def brief(versions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Versions as (user, division, deleted, current)."""
    return [(row["user_id"], row["division"], row["is_deleted"], row["is_current"]) for row in versions]


def snapshots(lake) -> int:
    """How often the dimension was written."""
    return len(lake.dimension().metadata.snapshots)


def test_first_build_makes_one_current_version_a_user(history_lake):
    lake = history_lake
    lake.log(
        lake.observation("005A", "2026-01-01", division="North"),
        lake.observation("005B", "2026-01-02", division=""),
    )
    lake.history()
    assert brief(lake.versions()) == [("005A", "North", False, True), ("005B", None, False, True)]
    assert lake.ledger() == [("run-1", *lake.ledger()[0][1:2], 2)]


def test_a_dimension_without_observations_is_empty(history_lake):
    history_lake.history()
    assert history_lake.versions() == []
    assert history_lake.ledger() == []


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)], ids=str)
def test_increments_equal_a_rebuild_whatever_arrives_first(history_lake, order):
    lake = history_lake
    batches = [
        [lake.observation("005A", "2026-01-01", division="North"), lake.observation("005B", "2026-01-01")],
        [lake.observation("005A", "2026-01-02", division="South")],
        [lake.observation("005A", "2026-01-03", division="North"), lake.observation("005B", "2026-01-03", name="New")],
    ]
    for batch in (batches[place] for place in order):
        lake.log(*batch)
        lake.history()
    arrived = lake.versions()
    lake.history("--full-refresh")
    assert lake.versions() == arrived
    assert brief(arrived) == [
        ("005A", "North", False, False),
        ("005A", "South", False, False),
        ("005A", "North", False, True),
        ("005B", None, False, True),
    ]


def test_a_run_without_news_changes_nothing(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01", division="North"))
    lake.history()
    before, ledger = snapshots(lake), lake.catalog.load_table("sf_curated.sf_user_consumed").metadata.snapshots
    lake.history()
    lake.history("--full-refresh")
    assert snapshots(lake) == before
    assert lake.catalog.load_table("sf_curated.sf_user_consumed").metadata.snapshots == ledger


def test_rows_that_did_not_change_are_not_written_again(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01", division="North"), lake.observation("005B", "2026-01-01"))
    lake.history()
    lake.log(lake.observation("005A", "2026-01-02", division="South"))
    lake.history()
    written = {
        (row["user_id"], row["effective_to"] is None): row["_dbt_updated_at"]
        for row in lake.dimension().scan().to_arrow().to_pylist()
    }
    assert written["005A", False] == written["005A", True] > written["005B", True]


def test_a_batch_of_a_known_run_that_arrives_later_is_consumed(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01", division="North"), run="scheduled", at="2026-06-02 06:00")
    lake.history()
    # The same run, cleared and run again: another attempt, which even claims to be older.
    lake.log(lake.observation("005A", "2026-01-02", division="South"), run="scheduled", at="2026-06-01 06:00")
    lake.history()
    assert brief(lake.versions()) == [("005A", "North", False, False), ("005A", "South", False, True)]
    assert [count for _, _, count in lake.ledger()] == [1, 1]


def test_versions_that_no_longer_follow_from_the_log_are_deleted(history_lake):
    lake = history_lake
    lake.log(
        lake.observation("005A", "2026-01-01", division="North"),
        lake.observation("005A", "2026-01-05", division="South"),
    )
    lake.history()
    # What lay between: an earlier observation of the same value, which moves the version's start.
    lake.log(lake.observation("005A", "2026-01-03", division="South"))
    lake.history()
    starts = [row["effective_from"].day for row in lake.versions()]
    assert starts == [1, 3]


def test_a_rebuild_forgets_records_that_the_log_has_forgotten(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01"), lake.observation("005B", "2026-01-01"))
    lake.history()
    lake.catalog.load_table("sf_raw.sf_user_changes").delete("id = '005B'")
    lake.history("--full-refresh")
    assert [row["user_id"] for row in lake.versions()] == ["005A"]


def test_a_crash_before_the_ledger_is_written_consumes_the_batch_again(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01", division="North"))
    lake.history()
    published, before = lake.versions(), snapshots(lake)
    lake.catalog.load_table("sf_curated.sf_user_consumed").delete("observations > 0")
    lake.history()
    assert lake.versions() == published
    assert snapshots(lake) == before
    assert [count for _, _, count in lake.ledger()] == [1]


def test_a_batch_that_arrives_between_two_models_is_left_for_the_next_run(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01", division="North"))
    assert lake.dbt("run", "--select", "+int_sf_user_versions").success
    lake.log(lake.observation("005A", "2026-01-02", division="South"))
    assert lake.dbt("run", "--select", "dim_sf_user_scd").success
    assert [run for run, _, _ in lake.ledger()] == ["run-1"]
    lake.history()
    assert brief(lake.versions()) == [("005A", "North", False, False), ("005A", "South", False, True)]
    assert [run for run, _, _ in lake.ledger()] == ["run-1", "run-2"]


def test_only_touched_users_are_worked_out_again(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01"), lake.observation("005B", "2026-01-01"))
    lake.history()
    lake.log(lake.observation("005B", "2026-01-02", division="South"))
    lake.history()
    shown = lake.dbt("show", "--inline", "select user_id, is_pending from {{ ref('int_sf_user_changes') }} order by 2")
    observed = [tuple(row) for row in shown.result.results[0].agate_table.rows]
    assert observed == [("005B", False), ("005B", True)]


@pytest.mark.parametrize("flags", [[], ["--full-refresh"]], ids=["increment", "rebuild"])
def test_an_audit_that_fails_stops_the_run_before_the_dimension_is_touched(history_lake, flags):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01", division="North"))
    lake.history()
    published, ledger = lake.versions(), lake.ledger()
    dateless = dict.fromkeys(("lastmodifieddate", "systemmodstamp", "_window_end"))
    lake.log(
        lake.observation("005A", "2026-01-02", division="South"), lake.observation("005B", "2026-01-02", **dateless)
    )
    result = lake.dbt("build", "--select", "tag:sf_user", "--exclude", "resource_type:unit_test", *flags)
    states = {(one.node.name, one.node.resource_type): str(one.status) for one in result.result}
    assert states["scd_integrity", "test"] in ("fail", "skipped")
    assert states["dim_sf_user_scd", "model"] == "skipped"
    assert (lake.versions(), lake.ledger()) == (published, ledger)


def test_account_has_its_own_history(history_lake):
    lake = history_lake
    lake.log(lake.observation("001A", "2026-01-01", "account", ownerid="005A", rating="Hot"), noun="account")
    lake.history(noun="account")
    lake.log(lake.observation("001A", "2026-01-02", "account", ownerid="005B", rating="Hot"), noun="account")
    lake.history(noun="account")
    versions = [(row["account_id"], row["owner_id"], row["is_current"]) for row in lake.versions("account")]
    assert versions == [("001A", "005A", False), ("001A", "005B", True)]


@pytest.mark.parametrize("year", ["0001", "9999"])
def test_dates_at_the_ends_of_the_calendar(history_lake, year):
    lake = history_lake
    lake.log(
        lake.observation("005A", f"{year}-03-01", division="North", _window_end=f"{year}-03-01"),
        lake.observation("005A", f"{year}-03-01", division="South", _window_end=f"{year}-03-02"),
    )
    lake.history()
    starts = [str(row["effective_from"]) for row in lake.versions()]
    assert starts == [f"{year}-03-01 00:00:00", f"{year}-03-02 00:00:00"]


def test_a_column_that_the_dimension_lacks_is_added(history_lake):
    """A field was added to the object: the table grows, it is not made anew."""
    lake = history_lake
    moment = pa.timestamp("us")
    before = lake.catalog.create_table(
        "sf_curated.dim_sf_user_scd",
        pa.schema(
            {
                **{"user_key": pa.int64(), "user_id": pa.string(), "name": pa.string(), "audit_phase__c": pa.string()},
                **dict.fromkeys(("update_date", "effective_from", "effective_to", "_dbt_updated_at"), moment),
                **dict.fromkeys(("is_current", "is_deleted"), pa.bool_()),
                "_scd_id": pa.string(),
            }
        ),
    )
    lake.log(lake.observation("005A", "2026-01-01", division="North"))
    lake.history()
    assert lake.dimension().metadata.table_uuid == before.metadata.table_uuid
    assert brief(lake.versions()) == [("005A", "North", False, True)]
    assert lake.versions()[0]["is_active"] is True


def test_a_build_of_nothing_closes_nothing(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01", division="North"))
    lake.mirror(lake.observation("005A", "2026-01-01", division="North"))
    assert lake.dbt("build", "--select", "tag:sf_user", "--exclude", "resource_type:unit_test", "sf_raw.*").success
    before, ledger = lake.versions(), lake.ledger()
    lake.log(lake.observation("005A", "2026-01-02", division="South"))
    for flags in (("--empty",), ("--empty", "--full-refresh")):
        assert lake.dbt("run", "--select", "tag:sf_user", *flags).success
        assert lake.dbt("snapshot", "--select", "tag:sf_user", "--empty").success
        assert (lake.versions(), lake.ledger()) == (before, ledger), flags
        open_rows = lake.catalog.load_table("sf_curated.sf_user_snapshot").scan(row_filter="dbt_valid_to is null")
        assert open_rows.count() == 1
    lake.history()
    assert [row["division"] for row in lake.versions()] == ["North", "South"]


def test_a_batch_that_was_not_merged_is_not_marked_consumed(history_lake):
    """Another run builds the intermediate table anew between this run's versions and its MERGE."""
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01", division="North"))
    lake.history()
    lake.log(lake.observation("005A", "2026-01-02", division="South"))
    lake.dbt("run", "--select", "int_sf_user_changes", "int_sf_user_versions")
    lake.log(lake.observation("005B", "2026-01-02", division="East"))
    lake.dbt("run", "--select", "int_sf_user_changes")
    assert lake.dbt("run", "--select", "dim_sf_user_scd").success
    assert [run for run, _, _ in lake.ledger()] == ["run-1"]
    lake.history()
    assert [(row["user_id"], row["division"]) for row in lake.versions()] == [
        ("005A", "North"),
        ("005A", "South"),
        ("005B", "East"),
    ]
    assert [run for run, _, _ in lake.ledger()] == ["run-1", "run-2", "run-3"]


def test_a_rebuild_over_the_versions_of_some_records_is_refused(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01"), lake.observation("005B", "2026-01-01"))
    lake.history()
    lake.log(lake.observation("005A", "2026-01-02", division="South"))
    lake.history()
    before = lake.versions()
    refused = lake.dbt("run", "--full-refresh", "--select", "dim_sf_user_scd")
    assert not refused.success
    assert "versions of some records only" in str(refused.result.results[0].message)
    assert lake.versions() == before


def test_a_rebuild_from_an_empty_log_is_refused(history_lake):
    lake = history_lake
    lake.log(lake.observation("005A", "2026-01-01"))
    lake.history()
    before = lake.versions()
    lake.catalog.load_table("sf_raw.sf_user_changes").delete()
    refused = lake.dbt("run", "--full-refresh", "--select", "+dim_sf_user_scd")
    assert not refused.success
    assert "is empty" in str(refused.result.results[-1].message)
    assert lake.versions() == before


def test_a_batch_that_lost_one_observation_and_gained_another_is_consumed_again(history_lake):
    """What an erasure and a replay do to it before dbt runs: as many observations as before."""
    lake = history_lake
    first, second = lake.observation("005A", "2026-01-01"), lake.observation("005B", "2026-01-01")
    lake.log(first, second, run="replayed run", at="2026-06-01 06:00")
    lake.history()
    lake.catalog.load_table("sf_raw.sf_user_changes").delete("id = '005A'")
    lake.log(lake.observation("005C", "2026-01-01"), run="replayed run", at="2026-06-01 06:00")
    lake.history()
    assert {row["user_id"] for row in lake.versions()} >= {"005B", "005C"}
