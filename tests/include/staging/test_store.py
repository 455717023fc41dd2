"""The staging store keeps what it is given, file by file, and forgets a folder at once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.staging import store

SCHEMA = pa.schema([("id", pa.string()), ("at", pa.timestamp("us", tz="UTC"))])


def batch(*ids: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"id": name, "at": None} for name in ids], schema=SCHEMA)


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_batches_come_back_in_order_and_with_their_schema(tmp_path: Path, scheme: str) -> None:
    folder = f"{scheme}{tmp_path}/a/b"
    uris = store.write_parquet(folder, [batch("1", "2"), batch(), pa.Table.from_batches([batch("3")])], SCHEMA, "rows")
    assert [uri.removeprefix(folder) for uri in uris] == ["/rows-00000.parquet"]
    read = pa.Table.from_batches(store.read_batches(uris))
    assert read.schema.equals(SCHEMA)
    assert read.column("id").to_pylist() == ["1", "2", "3"]
    assert store.total_bytes(uris) == sum(path.stat().st_size for path in (tmp_path / "a/b").iterdir())


def test_what_follows_file_is_the_path_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "my lake 100%20"
    store.write_text(f"file://{folder}/note.txt", "here")
    assert (folder / "note.txt").read_text() == "here"
    assert store.find_files(f"file://{folder}", "note.txt") == [f"file://{folder}/note.txt"]


def test_nothing_to_write_makes_no_file(tmp_path: Path) -> None:
    assert store.write_parquet(str(tmp_path / "x"), [batch()], SCHEMA, "rows") == []


def test_a_large_file_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "TARGET_FILE_BYTES", 1)
    monkeypatch.setattr(store, "ROW_GROUP_BYTES", 1)
    uris = store.write_parquet(str(tmp_path), (batch(str(number)) for number in range(3)), SCHEMA, "rows")
    assert len(uris) == 3
    assert [row["id"] for part in store.read_batches(uris) for row in part.to_pylist()] == ["0", "1", "2"]


def test_small_batches_are_gathered_to_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ROW_GROUP_BYTES", 2 * batch("0").nbytes)
    (uri,) = store.write_parquet(str(tmp_path), (batch(str(number)) for number in range(5)), SCHEMA, "rows")
    metadata = pq.read_metadata(uri)
    assert [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)] == [2, 2, 1]


def test_reading_takes_only_the_columns_and_rows_asked_for(tmp_path: Path) -> None:
    uris = store.write_parquet(str(tmp_path), [batch("1", "2", "3")], SCHEMA, "rows")
    parts = list(store.read_batches(uris, ["id"], batch_rows=2))
    assert [part.num_rows for part in parts] == [2, 1]
    assert parts[0].schema.names == ["id"]


def test_a_removed_folder_is_gone_and_removing_it_again_is_fine(tmp_path: Path) -> None:
    folder = str(tmp_path / "run")
    store.write_text(store.join(folder, "deep", "note.txt"), "ünï")
    assert store.read_text(store.join(folder, "deep", "note.txt")) == "ünï"
    assert store.find_files(str(tmp_path), "note.txt") == [f"{tmp_path}/run/deep/note.txt"]
    store.remove(folder)
    store.remove(folder)
    assert store.read_text(store.join(folder, "deep", "note.txt")) is None
    assert store.find_files(folder, "note.txt") == []


def test_a_missing_staged_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(store.read_batches([str(tmp_path / "gone.parquet")]))


def test_a_run_folder_can_be_a_path_whatever_the_run_is_called() -> None:
    folder = store.run_folder(
        staging_uri="s3://bucket/x/", table="sf_user", run_id="manual__2026-01-05T06:00:00+00:00", step="extract"
    )
    assert folder.startswith("s3://bucket/x/sf_user/manual__2026-01-05T06-00-00-00-00-")
    assert folder.endswith("/extract")


@given(st.text(), st.text())
def test_two_run_ids_never_share_a_folder(one: str, other: str) -> None:
    for name in (one, other):
        safe = store.path_safe(name)
        assert safe
        assert safe.strip(".")
        assert "/" not in safe
    assert (store.path_safe(one) == store.path_safe(other)) == (one == other)


@pytest.mark.parametrize("name", ["", ".", "..", "../../etc", "a/b", "a:b", "a+b", "\ud800", "x" * 500])
def test_hostile_run_ids_stay_inside_the_staging_folder(name: str) -> None:
    safe = store.path_safe(name)
    assert safe not in {"", ".", ".."}
    assert "/" not in safe
    assert len(safe) <= 130
