"""The quarantine holds a run's rejects exactly once, whoever retries or writes beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table, Transaction

from include.quality import quarantine
from include.quality.quarantine import write_quarantine
from include.quality.quarantine_table import Origin
from include.quality.validation import validate
from include.staging.manifest import ExtractionManifest
from tests.include.quality.rows import FILE, NOON, user, user_id

TABLE = "sf_raw.sf_user_quarantine"
Write = Callable[..., int]


@pytest.fixture
def write(staged: Callable[..., ExtractionManifest], catalog: SqlCatalog, tmp_path: Path) -> Write:
    """Validates rows and writes their rejects."""

    def written(*rows: dict[str, Any], run_id: str = "run", hour: int = 0, into: SqlCatalog = catalog) -> int:
        folder = str(tmp_path / run_id / "validate")
        extraction = staged(*rows, run_id=run_id)
        found = validate(extraction=extraction, object_file=FILE, staging_folder=folder)
        return write_quarantine(
            catalog=into,
            table_name=TABLE,
            reject_files=found.reject_files,
            origin=Origin.of(extraction),
            quarantined_at=NOON + timedelta(hours=hour),
        )

    return written


def held(catalog: SqlCatalog) -> list[dict[str, Any]]:
    return catalog.load_table(TABLE).scan().to_arrow().sort_by("id").to_pylist()


def test_rejects_are_kept_with_reason_run_and_time(write: Write, catalog: SqlCatalog) -> None:
    assert write(user(1, name=None), user(2), user(3, name="")) == 2
    rows = held(catalog)
    assert [(row["id"], row["reasons"]) for row in rows] == [(user_id(n), "Name is missing") for n in (1, 3)]
    assert {(row["_extraction_run_id"], row["_quarantined_at"]) for row in rows} == {("run", NOON)}
    assert '"name": null' in rows[0]["record"]
    columns = {field.name: str(field.field_type) for field in catalog.load_table(TABLE).schema().fields}
    assert columns == {
        "id": "string",
        "record": "string",
        "reasons": "string",
        "_extraction_run_id": "string",
        "_quarantined_at": "timestamptz",
        "_extracted_at": "timestamptz",
        "_window_end": "timestamptz",
        "_observed_columns": "string",
        "_org_id": "string",
        "_replayed_at": "timestamptz",
    }


def test_without_rejects_the_table_is_there_and_empty(write: Write, catalog: SqlCatalog) -> None:
    assert write(user(1)) == 0
    assert catalog.load_table(TABLE).current_snapshot() is None


def test_a_retry_adds_nothing_and_no_snapshot(write: Write, catalog: SqlCatalog) -> None:
    write(user(1, name=None))
    before = catalog.load_table(TABLE)
    assert write(user(1, name=None), hour=5) == 0
    assert catalog.load_table(TABLE).metadata_location == before.metadata_location
    assert held(catalog)[0]["_quarantined_at"] == NOON


def test_another_run_adds_its_own(write: Write, catalog: SqlCatalog) -> None:
    write(user(1, name=None))
    write(user(1, name=None), run_id='run\'s "second"')
    assert {row["_extraction_run_id"] for row in held(catalog)} == {"run", 'run\'s "second"'}


def test_a_run_read_again_replaces_only_its_own_rejects_in_one_commit(write: Write, catalog: SqlCatalog) -> None:
    write(user(1, name=None), run_id="other")
    write(user(2, name=None), user(3, name=None))
    before = catalog.load_table(TABLE)
    assert write(user(3, name=None), user(4, name=None)) == 2
    assert len(catalog.load_table(TABLE).snapshots()) == len(before.snapshots()) + 1
    assert {(row["_extraction_run_id"], row["id"]) for row in held(catalog)} == {
        ("other", user_id(1)),
        ("run", user_id(3)),
        ("run", user_id(4)),
    }


def test_rejects_that_are_gone_are_taken_back(write: Write, catalog: SqlCatalog) -> None:
    write(user(1, name=None), run_id="other")
    write(user(2, name=None))
    assert write(user(2)) == 0
    assert [row["_extraction_run_id"] for row in held(catalog)] == ["other"]
    before = catalog.load_table(TABLE).metadata_location
    assert write(user(2)) == 0
    assert catalog.load_table(TABLE).metadata_location == before


def test_many_rejects_are_written_in_parts_and_once(
    write: Write, catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "_BATCH_ROWS", 4)
    rows = [user(number, name=None) for number in range(10)]
    assert write(*rows) == 10
    assert write(*reversed(rows)) == 0
    assert [row["id"] for row in held(catalog)] == [user_id(number) for number in range(10)]


@pytest.mark.parametrize("other_run", ["beside", "ours"])
def test_a_commit_beside_ours_is_planned_again_on_fresh_metadata(
    write: Write, catalog: SqlCatalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other_run: str
) -> None:
    write(user(1, name=None), run_id="first")
    beside = SqlCatalog("iceberg_default", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/w")
    load, loads = quarantine.open_quarantine, []

    def load_then_be_overtaken(own: SqlCatalog, name: str) -> Table:
        table = load(own, name)
        loads.append(name)
        if len(loads) == 1:
            # The same run twice at once is a double trigger, or a retry beside an attempt that was given up for dead.
            write(user(3, name=None), run_id=other_run, into=beside)
        return table

    monkeypatch.setattr(quarantine, "open_quarantine", load_then_be_overtaken)
    write(user(3, name=None), run_id="ours")
    assert len(loads) == 3
    expected = {"first": 1, "ours": 1} | {other_run: 1}
    assert Counter(row["_extraction_run_id"] for row in held(catalog)) == expected


def test_rows_of_another_run_in_the_same_file_are_kept(write: Write, catalog: SqlCatalog) -> None:
    for run_id in ("a", "b"):
        write(user(1, name=None), run_id=run_id)
    table = catalog.load_table(TABLE)
    table.overwrite(table.scan().to_arrow())
    write(user(2, name=None), run_id="a")
    assert {(row["_extraction_run_id"], row["id"]) for row in held(catalog)} == {("a", user_id(2)), ("b", user_id(1))}


def test_a_conflict_that_never_ends_is_raised(
    write: Write, catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(user(1, name=None))
    tries: list[int] = []

    def refuse(self: Transaction) -> Table:
        tries.append(1)
        raise CommitFailedException("somebody was faster")

    monkeypatch.setattr(Transaction, "commit_transaction", refuse)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with pytest.raises(CommitFailedException):
        write(user(2, name=None))
    assert len(tries) == quarantine.MOST_ATTEMPTS
