"""dbt's own snapshot of the mirror, and the cross-check of the dimension against it."""

from __future__ import annotations


def build(lake) -> dict[str, str]:
    """Build everything of User; the statuses of its nodes by name."""
    result = lake.dbt("build", "--select", "tag:sf_user", "--exclude", "resource_type:unit_test")
    assert result.success, result.exception
    return {one.node.name: str(one.status) for one in result.result}


def test_the_snapshot_follows_the_mirror_and_agrees_with_the_dimension(history_lake):
    lake = history_lake
    first = lake.observation("005A", "2026-01-01", division="North")
    second = lake.observation("005A", "2026-01-02", division="South")
    other = lake.observation("005B", "2026-01-01", audit_phase__c="Phase1")
    lake.log(first, other)
    lake.mirror(first, other)
    assert build(lake)["dim_sf_user_agrees_with_snapshot"] == "pass"
    lake.log(second)
    lake.mirror(second, other)
    assert build(lake)["dim_sf_user_agrees_with_snapshot"] == "pass"
    build(lake)
    rows = lake.catalog.load_table("sf_curated.sf_user_snapshot").scan().to_arrow().to_pylist()
    kept = sorted((row["user_id"], row["division"] or "", row["dbt_valid_to"] is None) for row in rows)
    assert kept == [("005A", "North", False), ("005A", "South", True), ("005B", "", True)]


def test_a_dimension_that_disagrees_with_the_mirror_warns_and_does_not_fail(history_lake):
    lake = history_lake
    logged = lake.observation("005A", "2026-01-01", division="North")
    lake.log(logged)
    lake.mirror({**logged, "division": "South", "_row_hash": "another"})
    assert build(lake)["dim_sf_user_agrees_with_snapshot"] == "warn"


def test_values_nobody_listed_warn_and_do_not_fail(history_lake):
    lake = history_lake
    logged = lake.observation("005A", "2026-01-01", division="Atlantis")
    lake.log(logged)
    lake.mirror(logged)
    statuses = build(lake)
    assert [
        status for name, status in statuses.items() if name.startswith("accepted_values") and "division" in name
    ] == ["warn"]
