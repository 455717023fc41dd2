"""`sf_ops.upkeep`, and the upkeep of the tables about runs themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from include.lake.run_log import read_runs, record_run
from include.upkeep.tables import operations_tables
from include.upkeep.upkeep import keep_up
from include.upkeep.upkeep_log import record_upkeep


def test_one_row_a_run_and_table_and_the_tables_about_runs_are_looked_after(lake: Any) -> None:
    for number in range(12):
        record_run(lake.catalog, "sf_ops", {"run_id": f"run-{number}", "object": "User", "state": "success"})
    before = read_runs(lake.catalog, "sf_ops")
    now = datetime.now(UTC) + timedelta(days=30)
    for run_id in ("first", "first", "second"):
        for kept in operations_tables(lake.catalog, lake.environment):
            report = keep_up(lake.catalog, kept, lake.environment, now=now)
            assert report is not None
            record_upkeep(lake.catalog, "sf_ops", report, run_id=run_id, environment="local")
    assert read_runs(lake.catalog, "sf_ops").equals(before)
    rows = lake.catalog.load_table("sf_ops.upkeep").scan().to_arrow().to_pylist()
    assert sorted((row["run_id"], row["table"]) for row in rows) == [
        ("first", "sf_ops.pipeline_runs"),
        ("first", "sf_ops.upkeep"),
        ("second", "sf_ops.pipeline_runs"),
        ("second", "sf_ops.upkeep"),
    ]
    last = next(row for row in rows if (row["run_id"], row["table"]) == ("second", "sf_ops.pipeline_runs"))
    assert (last["snapshots_before"], last["snapshots_after"], last["snapshots_expired"]) == (10, 10, 0)
    assert (last["place"], last["engine"], last["data_files_after"]) == ("pipeline_runs", "pyiceberg", 1)
