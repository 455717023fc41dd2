"""One row a run and object, in few files, however many runs there were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog

from include.lake import operations_table
from include.lake.run_log import read_run, read_runs, record_run


@pytest.fixture
def catalog(tmp_path: Path) -> SqlCatalog:
    return SqlCatalog("runs", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")


def rows(catalog: SqlCatalog) -> list[tuple[Any, ...]]:
    found = [(row["run_id"], row["object"], row["state"]) for row in read_runs(catalog, "sf_ops").to_pylist()]
    return sorted(found)


def test_a_run_that_is_recorded_again_replaces_its_row_and_no_other(catalog: SqlCatalog) -> None:
    for run_id in ("first", "second"):
        for name in ("User", "Account"):
            record_run(catalog, "sf_ops", {"run_id": run_id, "object": name, "state": "failed"})
    record_run(catalog, "sf_ops", {"run_id": "first", "object": "User", "state": "success"})
    assert rows(catalog) == [
        ("first", "Account", "failed"),
        ("first", "User", "success"),
        ("second", "Account", "failed"),
        ("second", "User", "failed"),
    ]
    found = read_run(catalog, "sf_ops", run_id="first", object_name="User")
    assert found is not None
    assert found["state"] == "success"
    assert read_run(catalog, "sf_ops", run_id="third", object_name="User") is None


def test_files_and_manifests_stay_few(catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations_table, "FILE_ROWS", 10)
    for number in range(35):
        record_run(catalog, "sf_ops", {"run_id": f"run {number}", "object": "User", "state": "success"})
    table = catalog.load_table("sf_ops.pipeline_runs")
    assert len(rows(catalog)) == 35
    assert len(list(table.scan().plan_files())) == 4
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert len(snapshot.manifests(table.io)) <= 8


def test_a_column_that_is_not_there_is_refused(catalog: SqlCatalog) -> None:
    with pytest.raises(ValueError, match="has no column colour"):
        record_run(catalog, "sf_ops", {"run_id": "run", "object": "User", "colour": "red"})
