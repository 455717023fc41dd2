"""A dimension that somebody has damaged: the audit notices, the rebuild makes it good, and the run says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.lake.catalog import lake_folder
from local.org.ids import to_18
from tests.e2e.conftest import ask_lake, run_replay

ANN, BOB = to_18("0055e0000000001"), to_18("0055e0000000002")


def scenario(path: Path, *events: dict[str, Any]) -> str:
    path.write_text("\n".join(json.dumps({"object": "User", **event}) for event in events) + "\n")
    return str(path)


def versions(root: Path) -> list[dict[str, str]]:
    return ask_lake(
        root,
        "select user_id, division, effective_to is null as open, is_current from sf_curated.dim_sf_user_scd "
        "order by user_id, effective_from",
    )


def test_a_damaged_dimension_is_rebuilt_from_the_log_and_the_run_says_so(laptop: Path) -> None:
    first = scenario(
        laptop / "first.jsonl",
        {"at": "2026-01-05T01:00:00Z", "op": "insert", "Id": ANN, "fields": {"Name": "Ann", "Division": "North"}},
        {"at": "2026-01-05T02:00:00Z", "op": "insert", "Id": BOB, "fields": {"Name": "Bob", "Division": "North"}},
    )
    run_replay(laptop, "--scenario", first)
    table = lake_folder(laptop / "lake").open_catalog().load_table("sf_curated.dim_sf_user_scd")
    damaged = table.scan(row_filter=f"user_id = '{ANN}'").to_arrow()
    table.append(damaged)  # Ann is current twice now

    second = scenario(
        laptop / "second.jsonl",
        {"at": "2026-01-05T07:00:00Z", "op": "update", "Id": BOB, "fields": {"Division": "West"}},
    )
    shown = run_replay(laptop, "--keep", "--scenario", second)

    assert "✗ dbt_scd2.dim_sf_user_scd.test" in shown
    assert "✓ rebuild_history" in shown
    assert versions(laptop) == [
        {"user_id": ANN, "division": "North", "open": "true", "is_current": "true"},
        {"user_id": BOB, "division": "North", "open": "false", "is_current": "false"},
        {"user_id": BOB, "division": "West", "open": "true", "is_current": "true"},
    ]
    runs = ask_lake(
        laptop,
        "select state, history_rebuilt, failed_tasks, error, dbt_tests_failed, quality_score from sf_ops.pipeline_runs "
        "order by recorded_at",
    )
    assert runs == [
        {
            "state": "success",
            "history_rebuilt": "false",
            "failed_tasks": "",
            "error": "",
            "dbt_tests_failed": "0",
            "quality_score": "100.0",
        },
        {
            "state": "success",
            "history_rebuilt": "true",
            "failed_tasks": "dbt_scd2.dim_sf_user_scd.test",
            "error": "dbt_scd2.dim_sf_user_scd.test: scd_integrity: Got 1 result, configured to fail if != 0",
            "dbt_tests_failed": "0",
            "quality_score": "100.0",
        },
    ]
