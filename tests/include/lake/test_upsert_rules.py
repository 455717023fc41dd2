"""Each rule of the log, the mirror and the watermark, on a real lake."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from include.lake.absence import SuspiciousRead
from include.lake.accepted import RepeatedIds
from include.lake.watermark import ForeignOrg, LakeState, read_lake_state

Hours = Callable[[float], datetime]


def changes_of(lake: Any, key: str) -> list[tuple[str, str | None]]:
    return [(row["_change"], row["division"]) for row in lake.rows("changes") if row["id"] == key]


def test_a_lake_that_is_not_there_is_empty(lake: Any) -> None:
    assert read_lake_state(lake.catalog, lake.tables) == LakeState()
    assert read_lake_state(lake.catalog, lake.tables).is_empty


def test_a_first_load_fills_log_and_mirror_and_sets_the_watermark(lake: Any, hours_of: Hours) -> None:
    manifest = lake.run([lake.record("b", 1, division="North"), lake.record("a", 2)], end=6)
    assert (manifest.table, manifest.logged, manifest.inserted, manifest.updated) == (lake.tables.mirror, 2, 2, 0)
    assert (manifest.mirror_rows, manifest.attempts, manifest.deleted, manifest.recovered) == (2, 1, 0, 0)
    assert manifest.watermark == manifest.last_full_refresh == hours_of(6)
    assert lake.snapshots() == (1, 1)
    state = lake.state()
    assert (state.watermark, state.org_id, state.rows) == (hours_of(6), lake.org_id, 2)
    row = lake.mirror()["b"]
    assert row["_extraction_run_id"] == "scheduled__1"
    assert row["_extracted_at"] == lake.rows("changes")[0]["_extracted_at"]
    logged = lake.rows("changes")[1]
    assert (logged["_change"], logged["_window_end"]) == ("upsert", hours_of(6))
    assert logged["_row_hash"] == row["_row_hash"]
    assert lake.table("ledger").scan().to_arrow().num_rows == 0


def test_an_identical_rerun_adds_no_snapshot_anywhere(lake: Any) -> None:
    staged = lake.staged([lake.record("a", 1)], end=6)
    lake.upsert(staged)
    location = lake.table("mirror").metadata_location
    manifest = lake.upsert(staged)
    assert (manifest.logged, manifest.inserted, manifest.updated, manifest.unchanged) == (0, 0, 0, 1)
    assert lake.snapshots() == (1, 1)
    assert lake.table("mirror").metadata_location == location


def test_a_run_with_nothing_new_moves_the_watermark_without_a_snapshot(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1)], end=6)
    manifest = lake.run([lake.record("a", 1)], start=5, end=12)
    assert manifest.watermark == hours_of(12)
    assert lake.snapshots() == (1, 1)
    assert lake.run([], start=11, end=18).watermark == hours_of(18)
    assert lake.snapshots() == (1, 1)


def test_only_what_changed_is_logged(lake: Any) -> None:
    lake.run([lake.record("a", 1, division="North"), lake.record("b", 1)], end=6)
    manifest = lake.run(
        [lake.record("a", 7, division="South"), lake.record("b", 1), lake.record("c", 8)], start=0, end=12
    )
    assert (manifest.logged, manifest.updated, manifest.inserted, manifest.unchanged) == (2, 1, 1, 1)
    assert changes_of(lake, "a") == [("upsert", "North"), ("upsert", "South")]
    assert lake.mirror()["a"]["division"] == "South"
    assert len(changes_of(lake, "b")) == 1


def test_a_cursor_that_moved_is_a_change_though_no_value_did(lake: Any) -> None:
    lake.run([lake.record("a", 1)], end=6)
    assert lake.run([lake.record("a", 7)], start=5, end=12).logged == 1


def test_going_back_to_an_earlier_value_is_logged(lake: Any) -> None:
    for number, division in enumerate(["North", "South", "North"]):
        lake.run(
            [lake.record("a", 6 * number + 1, division=division)], start=None if not number else 0, end=6 * (number + 1)
        )
    assert [division for _, division in changes_of(lake, "a")] == ["North", "South", "North"]


def test_an_older_batch_that_arrives_late_is_logged_and_does_not_touch_the_mirror(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1, division="North")], end=6)
    lake.run([lake.record("a", 13, division="East")], start=5, end=18)
    manifest = lake.run([lake.record("a", 7, division="South"), lake.record("b", 8)], start=5, end=12)
    assert (manifest.logged, manifest.updated, manifest.inserted) == (2, 0, 1)
    assert [division for _, division in changes_of(lake, "a")] == ["North", "South", "East"]
    assert lake.mirror()["a"]["division"] == "East"
    assert lake.mirror()["b"]["_extraction_run_id"] == "scheduled__3"
    assert manifest.watermark == hours_of(18)


def test_a_backfill_that_sees_what_the_log_knows_logs_nothing(lake: Any) -> None:
    lake.run([lake.record("a", 1, division="North")], end=6)
    lake.run([lake.record("a", 13, division="East")], start=5, end=18)
    manifest = lake.run([lake.record("a", 1, division="North")], start=0, end=12)
    assert (manifest.logged, manifest.unchanged) == (0, 1)


def test_of_two_runs_with_the_same_window_end_the_later_cursor_wins(lake: Any) -> None:
    lake.run([lake.record("a", 5, division="North"), lake.record("b", 3, division="North")], end=6)
    lake.run([lake.record("a", 4, division="South"), lake.record("b", 4, division="South")], start=0, end=6)
    assert {key: row["division"] for key, row in lake.mirror().items()} == {"a": "North", "b": "South"}
    assert [division for _, division in changes_of(lake, "a")] == ["North", "South"]


def test_rows_at_or_after_the_windows_end_prove_presence_and_are_not_logged(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    manifest = lake.run([lake.record("a", 12, division="East"), lake.record("b", 11.999)], end=12)
    assert (manifest.logged, manifest.deleted, manifest.unchanged) == (1, 0, 0)
    assert lake.mirror()["a"]["division"] is None
    assert not lake.mirror()["a"]["isdeleted"]


def test_a_record_without_cursor_is_logged(lake: Any) -> None:
    assert lake.run([lake.record("a", 1, systemmodstamp=None)], end=6).logged == 1


def test_a_full_refresh_marks_what_is_gone_as_deleted(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1, division="North"), lake.record("b", 1), lake.record("c", 1)], end=6)
    manifest = lake.run([lake.record("b", 1)], present=["c"], end=12)
    assert (manifest.logged, manifest.deleted, manifest.updated, manifest.mirror_rows) == (1, 1, 1, 3)
    row = lake.mirror()["a"]
    assert row["isdeleted"]
    assert row["division"] == "North"
    assert row["lastmodifieddate"] == row["systemmodstamp"] == hours_of(12)
    assert row["createddate"] == hours_of(0)
    assert changes_of(lake, "a") == [("upsert", "North"), ("delete", "North")]
    logged = [row for row in lake.rows("changes") if row["id"] == "a"]
    assert logged[0]["_row_hash"] != logged[1]["_row_hash"] == row["_row_hash"]
    assert not lake.mirror()["c"]["isdeleted"]


def test_what_is_deleted_already_is_not_deleted_again(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    lake.run([lake.record("b", 1)], end=12)
    before = lake.snapshots()
    assert lake.run([lake.record("b", 1)], end=18).deleted == 0
    assert lake.snapshots() == before


def test_a_return_with_the_old_cursor_is_logged(lake: Any) -> None:
    record = lake.record("a", 1, division="North")
    lake.run([record, lake.record("b", 1)], end=6)
    lake.run([lake.record("b", 1)], end=12)
    manifest = lake.run([record, lake.record("b", 1)], end=18)
    assert (manifest.logged, manifest.updated) == (1, 1)
    assert [change for change, _ in changes_of(lake, "a")] == ["upsert", "delete", "upsert"]
    assert not lake.mirror()["a"]["isdeleted"]


def test_a_row_that_equals_a_deletion_found_by_absence_is_still_an_observation(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    lake.run([lake.record("b", 1)], end=12)
    told_by_the_org = lake.record("a", 12, isdeleted=True)
    staged = lake.staged([told_by_the_org], start=11, end=18)
    assert lake.upsert(staged).logged == 1
    assert [change for change, _ in changes_of(lake, "a")] == ["upsert", "delete", "upsert"]
    assert lake.upsert(staged).logged == 0


def test_an_incremental_run_deletes_nothing(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    assert lake.run([lake.record("b", 1)], start=0, end=12).deleted == 0


@pytest.mark.parametrize("end", [11, 12])
def test_a_full_refresh_deletes_only_if_nothing_newer_was_seen(
    lake: Any, hours_of: Hours, caplog: pytest.LogCaptureFixture, end: float
) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    lake.run([], start=5, end=12)
    manifest = lake.run([lake.record("b", 9)], end=end)
    assert manifest.deleted == (1 if end == 12 else 0)
    assert changes_of(lake, "b") == [("upsert", None), ("upsert", None)]
    assert ("not taken as deleted" in caplog.text) == (end == 11)
    assert manifest.watermark == hours_of(12)
    assert manifest.last_full_refresh == hours_of(12 if end == 12 else 6)


def test_the_last_complete_refresh_bounds_deletions_as_well(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    with lake.table("mirror").transaction() as transaction:
        transaction.set_properties({"sf-history.last-full-refresh": "2026-01-06T00:00:00Z"})
    assert lake.run([lake.record("b", 1)], end=12).deleted == 0


def test_too_many_gone_is_refused_and_nothing_is_written(make_lake: Any, user_object: Any) -> None:
    strict = user_object.model_copy(update={"min_volume_deviation_rows": 3})
    lake = make_lake(object_file=strict)
    everyone = [lake.record(f"{number:02d}", 1) for number in range(10)]
    lake.run(everyone, end=6)
    before = lake.snapshots(), lake.table("mirror").metadata_location
    with pytest.raises(SuspiciousRead) as refused:
        lake.run([{**record, "division": "East"} for record in everyone[3:]], end=12)
    for part in (lake.tables.mirror, "3 of 10", "30.0 %", "00, 01, 02", "max_volume_deviation_percent", "sharing"):
        assert part in str(refused.value)
    assert before == (lake.snapshots(), lake.table("mirror").metadata_location)
    lenient = strict.model_copy(update={"max_volume_deviation_percent": 30.0})
    lake.object_file = lenient
    assert lake.run(everyone[3:], end=12).deleted == 3


def test_a_few_gone_of_few_are_believed(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    assert lake.run([], end=12).deleted == 2


def test_the_guard_counts_against_what_was_not_deleted_before(make_lake: Any, user_object: Any) -> None:
    lake = make_lake(
        object_file=user_object.model_copy(
            update={"min_volume_deviation_rows": 2, "max_volume_deviation_percent": 50.0}
        )
    )
    everyone = [lake.record(f"{number:02d}", 1) for number in range(8)]
    lake.run(everyone, end=6)
    lake.run(everyone[:4], end=12)
    with pytest.raises(SuspiciousRead, match="3 of 4"):
        lake.run(everyone[:1], end=18)


def test_ids_that_differ_by_case_alone_are_different(lake: Any) -> None:
    lower, upper = "005xx000000aaaaAAA", "005xx000000AAAAAAA"
    lake.run([lake.record(lower, 1, division="North"), lake.record(upper, 1, division="South")], end=6)
    lake.run([lake.record(lower, 7, division="East")], start=5, end=12)
    assert {key: row["division"] for key, row in lake.mirror().items()} == {lower: "East", upper: "South"}


def test_the_watermark_moves_only_without_a_gap_and_never_back(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1)], end=6)
    assert lake.run([lake.record("b", 14)], start=13, end=18).watermark == hours_of(6)
    assert lake.run([], start=6, end=12).watermark == hours_of(12)
    assert lake.run([], start=2, end=8).watermark == hours_of(12)
    assert lake.run([lake.record("a", 1), lake.record("b", 14)], end=10).watermark == hours_of(12)
    assert lake.run([], start=12.5, end=24).watermark == hours_of(12)


def test_another_org_is_refused_with_both_ids(lake: Any) -> None:
    lake.run([lake.record("a", 1)], end=6)
    before = lake.snapshots()
    lake.org_id = "00D000000000002AAA"
    with pytest.raises(ForeignOrg, match=r"00D000000000001AAA.*00D000000000002AAA"):
        lake.run([lake.record("b", 7)], start=5, end=12)
    assert lake.snapshots() == before


def test_every_row_says_which_columns_it_observed(lake: Any) -> None:
    everything = ",".join(sorted(lake.object_file.columns))
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6, absent=["audit_phase__c"])
    lake.run([lake.record("a", 7)], start=5, end=12)
    observed = [row["_observed_columns"] for row in lake.rows("changes")]
    assert observed == [
        everything.replace("audit_phase__c,", ""),
        everything,
        everything.replace("audit_phase__c,", ""),
    ]


def test_a_deletion_has_observed_what_its_values_had(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6, absent=["audit_phase__c"])
    lake.run([lake.record("b", 1)], end=12)
    deletion = next(row for row in lake.rows("changes") if row["_change"] == "delete")
    assert "audit_phase__c" not in deletion["_observed_columns"]
    assert "division" in deletion["_observed_columns"]


def test_validated_files_with_an_id_twice_are_refused(lake: Any) -> None:
    with pytest.raises(RepeatedIds, match=r"sf_user.*\(a\)"):
        lake.run([lake.record("a", 1), lake.record("a", 2)], end=6)
    assert lake.snapshots() == (0, 0)


def test_an_empty_org_is_no_problem(lake: Any, hours_of: Hours) -> None:
    manifest = lake.run([], end=6)
    assert (manifest.mirror_rows, manifest.watermark) == (0, hours_of(6))
    assert lake.state().is_empty
    assert lake.snapshots() == (0, 0)


def test_without_systemmodstamp_in_the_org_the_cursor_is_what_the_plan_read_by(lake: Any) -> None:
    absent = ("systemmodstamp",)
    lake.run([lake.record("a", 1, division="North", systemmodstamp=None)], end=6, absent=absent)
    late = lake.record("a", 13, division="South", systemmodstamp=None)
    lake.run([late, lake.record("b", 7, systemmodstamp=None)], start=5, end=12, absent=absent)
    assert changes_of(lake, "a") == [("upsert", "North")]
    assert changes_of(lake, "b") == [("upsert", None)]
