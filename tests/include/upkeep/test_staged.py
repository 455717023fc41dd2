"""Left-overs outside the tables: staged files of old runs, results of old queries."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from include.upkeep.staged import expire_query_results, expire_staged

NOW = datetime.now(UTC)
WEEK = timedelta(days=7)


def made(path: Path, *, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    moment = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_staged_files_of_old_runs_go_and_those_of_live_ones_stay(tmp_path: Path) -> None:
    old = made(tmp_path / "sf_user" / "run-1" / "extract" / "rows-00000.parquet", days=8)
    half = made(tmp_path / "sf_user" / "run-2" / "extract" / "rows-00000.parquet", days=8)
    made(tmp_path / "sf_user" / "run-2" / "validate" / "rows-00000.parquet", days=1)
    job = made(tmp_path / "_bulk_jobs" / "sf_user" / "a" / "intent.json", days=99)
    other = made(tmp_path / "sf_account" / "run-1" / "extract" / "rows-00000.parquet", days=99)
    assert len(expire_staged(str(tmp_path), "sf_user", keep=WEEK, now=NOW, dry_run=True)) == 1
    assert old.exists()
    assert expire_staged(str(tmp_path), "sf_user", keep=WEEK, now=NOW) == [str(tmp_path / "sf_user" / "run-1")]
    assert not old.parent.parent.exists()
    assert all(path.exists() for path in (half, job, other))


def test_no_setting_takes_the_files_of_a_run_that_may_be_going_on(tmp_path: Path) -> None:
    path = made(tmp_path / "sf_user" / "run-1" / "extract" / "rows-00000.parquet", days=1.9)
    assert expire_staged(str(tmp_path), "sf_user", keep=timedelta(minutes=1), now=NOW) == []
    assert path.exists()


def test_only_what_athena_names_so_is_a_query_result(tmp_path: Path) -> None:
    query = "0b1e6b3c-6a39-4a57-8d2f-0c3d1c5b7a11"
    old = [
        made(tmp_path / "2026" / f"{query}{end}", days=8) for end in (".csv", ".csv.metadata", ".txt", "-manifest.csv")
    ]
    kept = [
        made(tmp_path / "tables" / query / "data.parquet", days=99),
        made(tmp_path / "tables" / query / "metadata" / f"00000-{query}.metadata.json", days=99),
        made(tmp_path / "tables" / f"{query}.parquet", days=99),
        made(tmp_path / f"{query}.csv", days=6),
    ]
    assert len(expire_query_results(str(tmp_path), keep=WEEK, now=NOW, dry_run=True)) == len(old)
    assert len(expire_query_results(str(tmp_path), keep=WEEK, now=NOW)) == len(old)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)
    assert expire_query_results("", keep=WEEK, now=NOW) == []
