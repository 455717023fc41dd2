"""Erasure beside what else goes on: other erasures, spellings, commits that came first, processes that died."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.flow import Flow, StagedFilesGone
from include.lake import erased, expiry, row_removal
from include.lake.erased import read_erased, record_request
from include.lake.known_fields import read_known_fields, remember_fields
from include.lake.turn import give_back_turn, take_turn
from include.quality import quarantine_table
from include.quality.listing import list_quarantine
from include.staging import forgetting, store
from include.staging.forgetting import forget_rows
from include.staging.known_field import KnownField
from tests.include.lake.erasing import HER, NOW, ORG, fill, forget, people, register, user


@pytest.mark.parametrize(("before", "after"), [("User", "user"), ("user", "User")])
def test_how_the_object_file_spells_the_object_does_not_matter(erasing_lake: Any, before: str, after: str) -> None:
    erasing_lake.object_file = erasing_lake.object_file.model_copy(update={"object": before})
    erasing_lake.run(people(erasing_lake), end=6)
    forget(erasing_lake)
    erasing_lake.object_file = erasing_lake.object_file.model_copy(update={"object": after})
    erasing_lake.run(people(erasing_lake, at=7), start=5, end=12)
    assert HER not in erasing_lake.mirror()
    assert forget(erasing_lake).repeated
    assert len(register(erasing_lake)) == 1


def test_rows_that_were_recorded_as_spelt_still_count(erasing_lake: Any) -> None:
    record_request(erasing_lake.catalog, "sf_ops", object_name="User", digests=["a"], run_id="r", requested_at=NOW)
    table = erasing_lake.catalog.load_table("sf_ops.erasures")
    rows = table.scan().to_arrow()
    table.overwrite(rows.set_column(0, "object", pa.array(["User"])))
    found = read_erased(erasing_lake.catalog, "sf_ops", object_name="user", org_id=ORG)
    again = record_request(
        erasing_lake.catalog, "sf_ops", object_name="uSER", digests=["a", "b"], run_id="r", requested_at=NOW
    )
    assert (found.digests, again) == ({"a"}, {"b"})


def test_known_fields_do_not_depend_on_the_spelling_either(erasing_lake: Any) -> None:
    name = KnownField(field="Name", salesforce_type="string", state="there", first_seen=None, last_changed=None)
    assert remember_fields(erasing_lake.catalog, "sf_ops", "User", lambda _: {"name": name})
    assert not remember_fields(erasing_lake.catalog, "sf_ops", "user", lambda _: {"name": name})
    assert set(read_known_fields(erasing_lake.catalog, "sf_ops", "USER")) == {"name"}


def test_the_same_person_asked_for_twice_at_once_is_recorded_once(
    erasing_lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(erasing_lake)
    real = erased._replace

    def overtaken(*args: Any) -> None:
        monkeypatch.setattr(erased, "_replace", real)
        forget(erasing_lake, alone=False, run_id="other")
        real(*args)

    record_request(erasing_lake.catalog, "sf_ops", object_name="Account", digests=["a"], run_id="r", requested_at=NOW)
    monkeypatch.setattr(erased, "_replace", overtaken)
    forget(erasing_lake, alone=False)
    assert [row["run_id"] for row in register(erasing_lake) if row["object"] == "user"] == ["other"]


def publish_her_again(lake: Any) -> Any:
    """A run that has read the log before the erasure, and whose MERGE comes when the erasure has passed by."""
    rows = lake.catalog.load_table(lake.tables.dimension).scan().to_arrow()
    hers = rows.filter(pc.equal(rows.column("user_id"), HER))
    return lambda: lake.connect().load_table(lake.tables.dimension).append(hers)


def published(lake: Any) -> set[str]:
    return set(lake.catalog.load_table(lake.tables.dimension).scan().to_arrow().column("user_id").to_pylist())


@pytest.mark.parametrize("step", ["recorded", "dimension", "expired dimension", "expired snapshot"])
def test_what_a_run_publishes_before_it_ends_is_removed_by_the_second_look(erasing_lake: Any, step: str) -> None:
    fill(erasing_lake)
    publish = publish_her_again(erasing_lake)
    take_turn(erasing_lake.catalog, erasing_lake.tables, run_id="scheduled__1", goes_on=lambda _: True)

    def end(reached: str) -> None:
        if reached == step:
            publish()
            give_back_turn(erasing_lake.connect(), erasing_lake.tables, run_id="scheduled__1")

    report = forget(erasing_lake, alone=False, on_step=end)
    (row,) = register(erasing_lake)
    assert (report.held_up, row["completed_at"], row["dimension_rows"]) == ("", NOW, 6)
    assert HER not in published(erasing_lake)
    assert len(erasing_lake.catalog.load_table(erasing_lake.tables.dimension).snapshots()) == 1


def test_a_run_at_the_history_keeps_an_erasure_from_being_completed(erasing_lake: Any) -> None:
    fill(erasing_lake)
    publish = publish_her_again(erasing_lake)
    take_turn(erasing_lake.catalog, erasing_lake.tables, run_id="scheduled__1", goes_on=lambda _: True)
    report = forget(erasing_lake, alone=False)
    assert report.held_up_by == "scheduled__1"
    assert "run scheduled__1 is at the history of User" in report.held_up
    assert "Ask again when that run has ended" in report.held_up
    assert register(erasing_lake)[0]["completed_at"] is None
    publish()
    give_back_turn(erasing_lake.catalog, erasing_lake.tables, run_id="scheduled__1")
    assert forget(erasing_lake, alone=False).held_up == ""
    assert register(erasing_lake)[0]["completed_at"] == NOW
    assert HER not in published(erasing_lake)


@pytest.mark.parametrize("settings", [{"run_id": "scheduled__1", "alone": False}, {"alone": True}])
def test_the_run_whose_turn_it_is_and_who_is_alone_complete_it(erasing_lake: Any, settings: dict[str, Any]) -> None:
    fill(erasing_lake)
    take_turn(erasing_lake.catalog, erasing_lake.tables, run_id="scheduled__1", goes_on=lambda _: True)
    assert forget(erasing_lake, **settings).held_up == ""
    assert register(erasing_lake)[0]["completed_at"] == NOW


def test_two_erasures_at_once_both_come_to_their_end(erasing_lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(erasing_lake)
    real = row_removal.read_file

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(row_removal, "read_file", real)
        forget(erasing_lake, user(4), alone=False)
        return real(*args, **kwargs)

    monkeypatch.setattr(row_removal, "read_file", overtaken)
    forget(erasing_lake, alone=False)
    assert [row["completed_at"] for row in register(erasing_lake)] == [NOW, NOW]
    assert not {HER, user(4)} & set(erasing_lake.mirror())


@pytest.mark.parametrize("asks", ["replay", "list"])
def test_an_erasure_beside_whoever_reads_the_quarantine(
    erasing_lake: Any, asks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(erasing_lake)
    real = quarantine_table.read_file

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(quarantine_table, "read_file", real)
        forget(erasing_lake, alone=False)
        return real(*args, **kwargs)

    monkeypatch.setattr(quarantine_table, "read_file", overtaken)
    where: dict[str, Any] = {"object_file": erasing_lake.object_file, "environment": erasing_lake.environment}
    if asks == "replay":
        assert Flow(catalog=erasing_lake.catalog, **where).replay_quarantine().unplaceable == 2
    else:
        assert len(list_quarantine(catalog=erasing_lake.catalog, **where).entries) == 2


_IDS = pa.schema([("id", pa.string())])


def staged_ids(folder: Path, *ids: str) -> list[str]:
    return store.write_parquet(str(folder), [pa.table({"id": list(ids)}, schema=_IDS)], _IDS, "rows")


def hers(batch: pa.RecordBatch) -> pa.Array:
    return pc.equal(batch.column("id"), HER)


def test_two_that_forget_at_once_do_not_fail_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uris = staged_ids(tmp_path / "run", HER, user(1))
    real = forgetting.pq.ParquetWriter

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(forgetting.pq, "ParquetWriter", real)
        forget_rows(str(tmp_path), hers)
        return real(*args, **kwargs)

    monkeypatch.setattr(forgetting.pq, "ParquetWriter", overtaken)
    forget_rows(str(tmp_path), hers)
    assert [batch.column("id").to_pylist() for batch in store.read_batches(uris)] == [[user(1)]]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["rows-00000.parquet"]


def test_what_is_gone_while_staged_files_are_gone_through_is_gone(tmp_path: Path) -> None:
    for number in range(3):
        staged_ids(tmp_path / f"run{number}", HER)

    def chosen(batch: pa.RecordBatch) -> pa.Array:
        for number in range(3):
            store.remove(str(tmp_path / f"run{number}"))
        return hers(batch)

    forget_rows(str(tmp_path), chosen)
    assert list(tmp_path.rglob("*.parquet")) == []


def test_a_file_that_an_erasure_met_half_written_makes_the_task_write_again(
    erasing_lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "ROW_GROUP_BYTES", 1)  # the first batch is in the file when the second one comes
    flow = Flow(
        object_file=erasing_lake.object_file, environment=erasing_lake.environment, catalog=erasing_lake.catalog
    )
    folder = erasing_lake.folder / "staging" / "sf_user" / "run" / "extract"

    def batches() -> Any:
        yield pa.table({"id": [user(1)]}, schema=_IDS)
        forget(erasing_lake, org_id=ORG)
        yield pa.table({"id": [user(2)]}, schema=_IDS)

    known = flow.erased(ORG)
    uris = store.write_parquet(str(folder), batches(), _IDS, "rows")
    with pytest.raises(StagedFilesGone, match=r"sf_user: 1 of 1 staged files are gone, for example .*rows-00000"):
        flow._forget_since(known, str(folder), uris)


def test_a_crash_in_the_expiry_leaves_every_property_as_it_was(
    erasing_lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(erasing_lake)
    before = erasing_lake.table("changes").properties["write.metadata.previous-versions-max"]

    class Death(BaseException):
        pass

    real = expiry.delete_files

    def die(table: Any, names: Any) -> int:
        if any("metadata.json" in name for name in names):
            raise Death
        return real(table, names)

    with monkeypatch.context() as patch:
        patch.setattr(expiry, "delete_files", die)
        with pytest.raises(Death):
            forget(erasing_lake)
    assert erasing_lake.table("changes").properties["write.metadata.previous-versions-max"] == before == "50"
    forget(erasing_lake)
    folder = erasing_lake.folder / "warehouse" / "sf_raw" / "sf_user_changes" / "metadata"
    assert len(list(folder.glob("*.metadata.json"))) == 1
