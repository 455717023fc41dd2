"""What is read from dbt's report, and what several reports of one run say together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from include.quality.dbt_tests import DbtResults, merge_results, read_results

UNIQUE, WARNS = "test.sf_history.unique_user_id.0123456789", "test.sf_history.accepted_values_dim__North.abcdef0123"
SHARED = "test.sf_history.unique_user_id.9876543210"


def report(project: Path, *, at: str, **statuses: str) -> DbtResults:
    """A report as dbt writes it; a node's name may stand for its unique id."""
    names = {"unique": UNIQUE, "warns": WARNS, "shared": SHARED, "dim": "model.sf_history.dim_sf_user_scd"}
    names |= {"snapshot": "snapshot.sf_history.sf_user_snapshot", "operation": "operation.sf_history.hook-0"}
    results = [
        {"unique_id": names[name], "status": status, "execution_time": 1.25, "message": f"{name}:\n{status}"}
        for name, status in statuses.items()
    ]
    (project / "target").mkdir(parents=True, exist_ok=True)
    written: dict[str, Any] = {"metadata": {"generated_at": f"2026-01-05T{at}:00.000000Z"}, "results": results}
    (project / "target" / "run_results.json").write_text(json.dumps(written))
    found = read_results(project)
    assert found is not None
    return found


def test_tests_are_told_by_name_and_models_by_their_seconds(tmp_path: Path) -> None:
    found = report(tmp_path, at="01:00", dim="success", unique="fail", shared="pass", warns="warn", operation="success")
    assert found.as_xcom() == {
        "failed": ["unique_user_id"],
        "errored": [],
        "warned": ["accepted_values_dim__North"],
        "passed": 1,
        "at": "2026-01-05T01:00:00Z",
        "tests": {UNIQUE: "failed", SHARED: "passed", WARNS: "warned"},
        "seconds": {"dim_sf_user_scd": 1.25},
        "error": "unique_user_id: unique: fail",
    }
    assert DbtResults.model_validate(json.loads(json.dumps(found.as_xcom()))) == found


def test_a_test_that_could_not_run_is_told_apart_and_one_that_was_skipped_has_not_run(tmp_path: Path) -> None:
    found = report(tmp_path, at="01:00", dim="error", unique="error", warns="skipped", snapshot="skipped")
    assert (found.named("errored"), len(found.tests), found.seconds) == (
        ["unique_user_id"],
        1,
        {"dim_sf_user_scd": 1.25},
    )
    assert found.named("failed") == []
    assert found.as_xcom()["errored"] == ["unique_user_id"]
    assert found.error == "dim_sf_user_scd: dim: error"


def test_dbt_that_wrote_no_report_says_nothing(tmp_path: Path) -> None:
    assert read_results(tmp_path) is None


def test_a_test_counts_as_it_ended_last(tmp_path: Path) -> None:
    broken = report(tmp_path / "a", at="01:00", dim="success", unique="fail", shared="fail")
    rebuilt = report(tmp_path / "b", at="02:00", dim="success", unique="pass", warns="warn")
    for order in ([broken, rebuilt], [rebuilt, broken]):
        found = merge_results(order)
        assert found is not None
        assert found.tests == {UNIQUE: "passed", SHARED: "failed", WARNS: "warned"}
        assert found.seconds == {"dim_sf_user_scd": 2.5}
        assert found.error == broken.error
    assert merge_results([]) is None
