"""What arrives in order is merged into current rows alone; whatever else may be, all rows of a user are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager

from tests.dbt.conftest import HistoryLake

Merged = Callable[[], str]


@pytest.fixture
def merged(tmp_path: Path) -> Merged:
    """Which of the two statements published last."""

    def which() -> str:
        (statement,) = (tmp_path / "target" / "run").rglob("dim_sf_user_scd.sql")
        return "following" if "_was_current" in statement.read_text(encoding="utf-8") else "all rows"

    return which


def divisions(lake: HistoryLake, user: str = "005A") -> list[tuple[str | None, bool]]:
    """Versions of a user as (division, current)."""
    return [(row["division"], row["is_current"]) for row in lake.versions() if row["user_id"] == user]


def begin(lake: HistoryLake) -> None:
    """A user with two versions."""
    lake.log(
        lake.observation("005A", "2026-01-01", division="North"),
        lake.observation("005A", "2026-01-05", division="South"),
    )
    lake.history()


def append_current_rows(lake: HistoryLake) -> None:
    """Have every current row twice."""
    rows = lake.dimension().scan().to_arrow()
    lake.dimension().append(rows.filter(rows["is_current"]))


def test_what_arrives_in_order_follows_on(history_lake: HistoryLake, merged: Merged) -> None:
    lake = history_lake
    begin(lake)
    assert merged() == "all rows"
    lake.log(
        lake.observation("005A", "2026-01-06", division="East"),
        lake.observation("005A", "2026-01-07", division="West"),
        lake.observation("005B", "2026-01-07"),
    )
    lake.history()
    assert merged() == "following"
    assert divisions(lake) == [("North", False), ("South", False), ("East", False), ("West", True)]
    assert divisions(lake, "005B") == [(None, True)]
    followed = lake.versions()
    lake.history("--full-refresh")
    assert lake.versions() == followed


def test_what_opens_no_version_follows_on_and_is_written_only_if_it_differs(
    history_lake: HistoryLake, merged: Merged
) -> None:
    lake = history_lake
    begin(lake)
    before = len(lake.dimension().metadata.snapshots)
    lake.log(lake.observation("005A", "2026-01-06", division="South"))
    lake.history()
    assert (merged(), len(lake.dimension().metadata.snapshots)) == ("following", before)
    lake.log(lake.observation("005A", "2026-01-07", division="South", name="New"))
    lake.history()
    assert (merged(), [row["name"] for row in lake.versions()]) == ("following", ["Name of 005A", "New"])


@pytest.mark.parametrize("at", ["2026-01-03", "2025-12-01"], ids=["before the current version", "before everything"])
def test_what_arrives_late_does_not(history_lake: HistoryLake, merged: Merged, at: str) -> None:
    lake = history_lake
    begin(lake)
    lake.log(lake.observation("005A", at, division="East"), lake.observation("005B", "2026-01-07"))
    lake.history()
    assert merged() == "all rows"
    late = lake.versions()
    assert len(divisions(lake)) == 3
    lake.history("--full-refresh")
    assert lake.versions() == late


def test_what_was_merged_by_a_run_that_died_is_compared_whole(history_lake: HistoryLake, merged: Merged) -> None:
    lake = history_lake
    begin(lake)
    lake.log(lake.observation("005A", "2026-01-06", division="East"), run="died")
    lake.history()
    published = lake.versions()
    lake.catalog.load_table("sf_curated.sf_user_consumed").delete("_extraction_run_id = 'died'")
    lake.history()
    assert merged() == "all rows"
    assert lake.versions() == published


def test_a_current_row_that_is_there_twice_is_mended(history_lake: HistoryLake, merged: Merged) -> None:
    lake = history_lake
    begin(lake)
    append_current_rows(lake)
    lake.log(lake.observation("005A", "2026-01-06", division="East"))
    lake.history()
    assert merged() == "all rows"
    assert divisions(lake) == [("North", False), ("South", False), ("East", True)]


def test_a_commit_between_the_check_and_the_merge_refuses_the_merge(
    history_lake: HistoryLake, merged: Merged, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = history_lake
    begin(lake)
    lake.log(lake.observation("005A", "2026-01-06", division="East"))
    execute = DuckDBConnectionManager.execute

    def after_another(manager: DuckDBConnectionManager, sql: str, *arguments: Any, **options: Any) -> Any:
        if "merge into" in sql:
            monkeypatch.undo()
            append_current_rows(lake)
        return execute(manager, sql, *arguments, **options)

    monkeypatch.setattr(DuckDBConnectionManager, "execute", after_another)
    with pytest.raises(AssertionError, match="dim_sf_user_scd: error"):
        lake.history()
    assert merged() == "following"
    assert divisions(lake) == [("North", False), ("South", True), ("South", True)]
    lake.history()
    assert divisions(lake) == [("North", False), ("South", False), ("East", True)]
