"""Expiry by age, and orphans: what stays, what goes, and in which order."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from include.config.object_file import ObjectFile
from include.config.operating import TableUpkeep
from include.lake.data_files import write_files
from include.lake.draft import Draft
from include.lake.expiry import expire_history, written_at
from include.lake.table_files import file_key, stored_files
from include.staging.store import remove
from include.upkeep.history import expire, outdated
from include.upkeep.measure import measure
from include.upkeep.orphans import remove_orphans
from include.upkeep.tables import KeptTable
from include.upkeep.upkeep import keep_up
from tests.include.lake.conftest import Lake

ONE = TableUpkeep(keep_history=timedelta(days=7), keep_snapshots=1)
LATER = datetime.now(UTC) + timedelta(days=30)
ROW = pa.table({"id": ["a"]})


@pytest.fixture
def table(lake: Any) -> Table:
    """Six snapshots of one row each."""
    lake.catalog.create_namespace("n")
    created: Table = lake.catalog.create_table("n.t", ROW.schema)
    for _ in range(6):
        created.append(ROW)
    return created


def ids(table: Table) -> list[int]:
    return [one.snapshot_id for one in table.refresh().snapshots()]


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def test_the_current_snapshot_stays_however_old(table: Table) -> None:
    current = ids(table)[-1]
    assert expire(table, ONE, now=LATER).snapshots == 5
    assert ids(table) == [current]
    assert table.scan().to_arrow().num_rows == 6


def test_so_many_of_the_last_stay_however_old(table: Table) -> None:
    before = ids(table)
    expire(table, TableUpkeep(keep_history=timedelta(seconds=1), keep_snapshots=3), now=LATER)
    assert ids(table) == before[-3:]


def test_a_snapshot_is_as_old_as_its_replacement(table: Table) -> None:
    """It was born long ago and has just been replaced: whoever opened it a minute ago reads on."""
    snapshots = table.snapshots()
    born, replaced = snapshots[3].timestamp_ms, snapshots[4].timestamp_ms
    assert born <= replaced
    now = at(replaced) + ONE.keep_history
    assert snapshots[3] not in outdated(table, ONE, now=now)
    assert snapshots[3] in outdated(table, ONE, now=now + timedelta(milliseconds=2))


def test_what_a_tag_or_a_branch_holds_stays(table: Table) -> None:
    before = ids(table)
    table.manage_snapshots().create_tag(before[1], "audit").create_branch(before[3], "trial").commit()
    expire(table.refresh(), ONE, now=LATER)
    assert set(ids(table)) == {before[1], before[3], before[-1]}
    assert table.scan(snapshot_id=before[1]).to_arrow().num_rows == 2


def test_a_tag_that_is_made_meanwhile_stops_the_expiry(table: Table) -> None:
    stale = table.catalog.load_table("n.t")
    before = ids(table)
    table.manage_snapshots().create_tag(before[1], "audit").commit()
    with pytest.raises(CommitFailedException, match="branches and tags"):
        expire(stale, ONE, now=LATER)
    assert ids(table) == before


def test_files_go_after_the_commit_and_only_those_that_nothing_else_needs(lake: Any, table: Table) -> None:
    table.overwrite(ROW)
    there: list[int] = []
    before = len(stored_files(table))
    gone = expire(table, ONE, now=LATER, on_commit=lambda: there.append(len(stored_files(table))))
    assert there == [before + 1]
    assert gone.files == before + 1 - len(stored_files(table)) > 6
    assert table.refresh().scan().to_arrow().num_rows == 1
    # Manifest list, manifest and data file of the last snapshot, and the metadata.
    left = {Path(info.path).name for info in stored_files(table)}
    assert len([name for name in left if not name.endswith(".metadata.json")]) == 3


def test_a_writer_that_commits_meanwhile_loses_nothing(lake: Any, table: Table) -> None:
    def commit() -> None:
        lake.connect().load_table("n.t").append(ROW)

    expire(table, ONE, now=LATER, on_commit=commit)
    assert table.refresh().scan().to_arrow().num_rows == 7


def test_earlier_metadata_is_forgotten_with_the_commits_to_come(table: Table) -> None:
    expire(table, ONE, now=LATER)
    assert table.refresh().properties["write.metadata.delete-after-commit.enabled"] == "true"


def test_what_somebody_remembers_stays_however_old(table: Table) -> None:
    before = ids(table)
    held = before[1:3]
    assert [one.snapshot_id for one in outdated(table, ONE, now=LATER, held=held)] == [before[0], *before[3:-1]]
    expire(table, ONE, now=LATER, held=held)
    assert ids(table) == [*held, before[-1]]
    assert table.scan(snapshot_id=held[0]).to_arrow().num_rows == 2


def test_a_lake_whose_folder_has_a_space_and_a_percent_sign(tmp_path: Path, user_object: ObjectFile) -> None:
    lake = Lake(tmp_path / "my lake 100%", user_object)
    lake.catalog.create_namespace("n")
    table = lake.catalog.create_table("n.t", ROW.schema)
    for _ in range(3):
        table.append(ROW)
    left_over = orphan(table, timedelta(days=9))
    there = {str(path) for path in Path(file_key(table.location())).rglob("*") if path.is_file()}
    assert {info.path for info in stored_files(table)} == there
    assert measure(table).stored_files == len(there)
    assert expire(table, ONE, now=LATER).snapshots == 2
    written = written_at(table.refresh())
    assert written is not None
    gone = expire_history(table, unreferenced_before=written - timedelta(days=1))
    assert (gone.snapshots, left_over.exists()) == (0, False)
    assert lake.connect().load_table("n.t").scan().to_arrow().num_rows == 3


def orphan(table: Table, age: timedelta, name: str = "left-over.parquet") -> Path:
    path = Path(file_key(table.location())) / "data" / name
    path.write_bytes(b"left over")
    moment = (datetime.now(UTC) - age).timestamp()
    os.utime(path, (moment, moment))
    return path


@pytest.mark.parametrize(("age", "goes"), [(timedelta(hours=47), False), (timedelta(hours=49), True)])
def test_nothing_younger_than_the_longest_run_is_an_orphan(table: Table, age: timedelta, goes: bool) -> None:
    path = orphan(table, age)
    found = remove_orphans(table, older_than=timedelta(hours=1), now=datetime.now(UTC), neighbours=())
    assert (found == 1, path.exists()) == (goes, not goes)
    assert table.refresh().scan().to_arrow().num_rows == 6


def test_a_writer_in_flight_commits_what_it_wrote_before_the_upkeep(table: Table) -> None:
    written = write_files(table, ROW)
    remove_orphans(table, older_than=timedelta(days=3), now=datetime.now(UTC), neighbours=())
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as update:
        update.append_data_file(written[0])
    assert table.refresh().scan().to_arrow().num_rows == 7


def test_a_look_only_removes_nothing(lake: Any, table: Table) -> None:
    path = orphan(table, timedelta(days=9))
    before = ids(table)
    kept = KeptTable(identifier="n.t", place="t", keep=TableUpkeep(keep_snapshots=1, compact_from_files=2))
    report = keep_up(lake.catalog, kept, lake.environment, now=datetime.now(UTC) + timedelta(days=8), dry_run=True)
    assert report is not None
    # Looked at eight days ahead, the first of them are old; and nobody refers to the left-over.
    assert (report.files_compacted, report.snapshots_expired, report.orphans_deleted) == (6, 5, 1)
    assert path.exists()
    assert ids(table) == before


def test_a_table_inside_the_folder_keeps_its_files(table: Table, caplog: pytest.LogCaptureFixture) -> None:
    path = orphan(table, timedelta(days=9))
    inside = [f"{table.location()}/data/another"]
    assert remove_orphans(table, older_than=timedelta(days=3), now=LATER, neighbours=inside) == 0
    assert path.exists()
    assert "data/another is in its folder" in caplog.text
    beside = [f"{table.location()}_changes"]
    assert remove_orphans(table, older_than=timedelta(days=3), now=LATER, neighbours=beside) == 1


@pytest.mark.parametrize("swept", [False, True], ids=["its files are there", "its files are gone"])
def test_the_draft_of_a_killed_upsert_is_in_nobodys_way(lake: Any, table: Table, swept: bool) -> None:
    draft = Draft.of(lake.catalog, table)
    if swept:
        remove(draft.folder)
    path = orphan(table, timedelta(days=9))
    kept = KeptTable(identifier="n.t", place="t", keep=ONE)
    lake.environment = lake.environment.model_copy(update={"raw_namespace": "n"})
    early = keep_up(lake.catalog, kept, lake.environment, now=datetime.now(UTC) + timedelta(hours=47))
    assert early is not None
    assert (early.orphans_deleted, path.exists()) == (1, False)
    assert len(lake.catalog.list_tables("n")) == 2, "its upsert may be at work"
    keep_up(lake.catalog, kept, lake.environment, now=LATER)
    assert not [one for one in stored_files(table) if "/drafts/" in one.path]
    assert lake.catalog.list_tables("n") == [("n", "t")]
    assert table.refresh().scan().to_arrow().num_rows == 6


def test_a_table_that_is_not_there_needs_no_upkeep(lake: Any) -> None:
    kept = KeptTable(identifier="n.nothing", place="t", keep=ONE)
    assert keep_up(lake.catalog, kept, lake.environment, now=LATER) is None
