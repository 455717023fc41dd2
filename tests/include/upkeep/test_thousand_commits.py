"""A changes log after 1,000 small commits: what upkeep makes of it, and what its readers see meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pydantic import BaseModel
from pyiceberg.table import FileScanTask
from pyiceberg.table.metadata import TableMetadataV2

from include.config.object_file import read_object_files
from include.lake.data_files import KeyedFile, read_file, write_files
from include.lake.one_commit import commit_once
from include.lake.tables import arrow_schema, ensure_tables
from include.upkeep.tables import object_tables
from include.upkeep.upkeep import UpkeepReport, keep_up
from tests.include.lake.conftest import Lake

COMMITS, ROWS = 1_000, 5
#: Commits that the retention leaves.
RECENT = 100


@dataclass
class Story:
    """What was before, what upkeep said, and what is after."""

    lake: Lake
    snapshots: list[int]
    plans: dict[int, set[str]]
    reader: list[FileScanTask]
    report: UpkeepReport
    seconds: tuple[float, float]


def batch(number: int, schema: pa.Schema) -> pa.Table:
    at = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(minutes=20 * number)
    row = {"_extracted_at": at, "_window_end": at, "_extraction_run_id": f"run-{number}", "_change": "upsert"}
    return pa.Table.from_pylist(
        [{**row, "id": f"{(7 * number + key) % 997:018d}", "_row_hash": f"{number}-{key}"} for key in range(ROWS)],
        schema,
    )


def hashes(table: pa.Table) -> Counter[str]:
    return Counter(table.column("_row_hash").to_pylist())


def expected(commits: int) -> Counter[str]:
    return Counter(f"{number}-{key}" for number in range(commits) for key in range(ROWS))


def scan_seconds(lake: Lake) -> float:
    taken = []
    for _ in range(3):
        began = time.perf_counter()
        assert hashes(lake.connect().load_table(lake.tables.changes).scan().to_arrow()) == expected(COMMITS)
        taken.append(time.perf_counter() - began)
    return sorted(taken)[1]


def _shallow(self: TableMetadataV2, *, update: Any = None, deep: bool = False) -> Any:
    return BaseModel.model_copy(self, update=update)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    lake = Lake(tmp_path_factory.mktemp("thousand") / "lake", read_object_files()["user"])
    ensure_tables(lake.catalog, lake.object_file, lake.environment, dict(lake.types))
    log = lake.table("changes")
    schema = arrow_schema(log)
    with pytest.MonkeyPatch.context() as patch:
        # pyiceberg copies all metadata deeply, twice a commit: with 1,000 snapshots longer than all the rest.
        patch.setattr(TableMetadataV2, "model_copy", _shallow)
        for number in range(COMMITS):
            commit_once(log, added=write_files(log, batch(number, schema)))
    log = lake.table("changes")
    snapshots = [one.snapshot_id for one in log.snapshots()]
    recent = snapshots[-RECENT:]
    plans = {one: {task.file.file_path for task in log.scan(snapshot_id=one).plan_files()} for one in recent[::10]}
    before = scan_seconds(lake)
    reader = list(log.scan().plan_files())
    kept = next(one for one in object_tables(lake.object_file, lake.environment) if one.place == "changes")
    # The first of the recent ones was replaced at the very end of the retention.
    replaced = next(one for one in log.snapshots() if one.snapshot_id == recent[1]).timestamp_ms
    now = datetime.fromtimestamp(replaced / 1000, UTC) + kept.keep.keep_history
    report = keep_up(lake.connect(), kept, lake.environment, now=now)
    assert report is not None
    return Story(lake, snapshots, plans, reader, report, (before, scan_seconds(lake)))


def test_files_manifests_and_bytes_before_and_after(story: Story) -> None:
    before, after = story.report.before, story.report.after
    for name, count in before.numbers().items():
        print(f"{name:>14} {count:>12,} → {after.numbers()[name]:>12,}")
    print(f"{'scan seconds':>14} {story.seconds[0]:>12.2f} → {story.seconds[1]:>12.2f}")
    assert (before.data_files, before.snapshots) == (COMMITS, COMMITS)
    assert (after.data_files, after.manifests, after.snapshots) == (14, 1, RECENT + 1)
    assert after.bytes < before.bytes / 10
    assert after.stored_bytes < before.stored_bytes


def test_time_travel_inside_the_retention_reads_what_it_read_before(story: Story) -> None:
    log = story.lake.table("changes")
    assert [one.snapshot_id for one in log.snapshots()][:-1] == story.snapshots[-RECENT:]
    for snapshot_id, paths in story.plans.items():
        assert {task.file.file_path for task in log.scan(snapshot_id=snapshot_id).plan_files()} == paths
    for place in (-RECENT, -1):
        found = log.scan(snapshot_id=story.snapshots[place]).to_arrow()
        assert hashes(found) == expected(COMMITS + 1 + place)


def test_a_reader_that_had_begun_reads_on(story: Story) -> None:
    """It holds the list of files of the snapshot that was current before; compaction, expiry and orphans came since."""
    log = story.lake.table("changes")
    found: Counter[str] = Counter()
    for task in story.reader:
        found += hashes(read_file(log, KeyedFile(task, None, None), ["_row_hash"]))
    assert found == expected(COMMITS)


def test_a_second_upkeep_finds_nothing_to_do(story: Story) -> None:
    kept: Any = next(
        one for one in object_tables(story.lake.object_file, story.lake.environment) if one.place == "changes"
    )
    again = keep_up(story.lake.connect(), kept, story.lake.environment, now=story.report.started_at)
    assert again is not None
    assert (again.files_compacted, again.snapshots_expired, again.orphans_deleted) == (0, 0, 0)
    assert again.before == again.after == story.report.after
