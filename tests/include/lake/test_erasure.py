"""A person who was erased is nowhere: not in a row, not in a file, not in a bound, and does not come back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from include.lake.erased import ErasedIds, InvalidIds, id_digest, read_erased
from include.lake.erasure import erase
from include.lake.erasure_report import ErasureReport, UnknownOrg
from include.lake.expiry import HistoryHeld
from include.lake.upsert import upsert
from include.lake.watermark import ForeignOrg
from include.quality import quarantine as quarantine_module
from include.quality.quarantine import write_quarantine
from include.quality.quarantine_table import Origin, fingerprints
from include.salesforce.ids import to_18
from include.staging.store import write_parquet
from tests.include.lake.remains import remains

NOW = datetime(2026, 1, 9, tzinfo=UTC)
MARK = "Zzyzx Marker"
HER = "005000000000007AAA"
ORG = "00D000000000001AAA"
PLACES = ("changes", "mirror", "quarantine", "dimension", "snapshot")
STEPS = ("recorded", "staged", *PLACES, *(f"expired {place}" for place in PLACES), "looked again", "completed")


class Crash(Exception):
    """The process died here."""


def user(number: int) -> str:
    return f"005{number:012d}AAA"


def people(lake: Any, count: int = 12, at: float = 1, **values: Any) -> list[dict[str, Any]]:
    """Some people; number 7 is she who will be forgotten."""
    return [
        lake.record(user(number), at, **({"name": MARK} if user(number) == HER else {}), **values)
        for number in range(count)
    ]


def fill(lake: Any) -> None:
    """Three runs, a quarantine, and what dbt would have made of them (in Iceberg, by another writer)."""
    lake.run(people(lake), end=6)
    lake.run(people(lake, at=7, division="South"), start=5, end=12)
    lake.run(people(lake, at=13, division="West")[4:9], start=11, end=18)
    quarantine(lake, [HER, user(3)], run_id="rejecting")
    for name, column in ((lake.tables.dimension, "user_id"), (lake.tables.snapshot, "user_id")):
        rows = lake.table("changes").scan(selected_fields=("id", "name", "division")).to_arrow()
        table = lake.catalog.create_table(name, rows.rename_columns([column, "name", "division"]).schema)
        table.append(rows.rename_columns([column, "name", "division"]).cast(table.schema().as_arrow()))


def quarantine(lake: Any, ids: list[str], *, run_id: str, erased: Any = None) -> int:
    """Rejects of a run: the first one's record names the others, and one has no Id of its own."""
    rows = [
        {"id": one, "record": json.dumps({"id": one, "name": MARK if one == HER else "?"}), "reasons": "no name"}
        for one in ids
    ]
    rows += [{"id": None, "record": json.dumps({"id": None, "managerid": one}), "reasons": "no Id"} for one in ids]
    schema = pa.schema([("id", pa.string()), ("record", pa.string()), ("reasons", pa.string())])
    folder = str(lake.folder / "staging" / "sf_user" / run_id / "validate")
    return write_quarantine(
        catalog=lake.catalog,
        table_name=lake.tables.quarantine,
        reject_files=write_parquet(folder, [pa.Table.from_pylist(rows, schema)], schema, "rejects"),
        origin=Origin(
            run_id=run_id, extracted_at=NOW, window_end=NOW, observed_columns="id,isdeleted,name", org_id=ORG
        ),
        quarantined_at=NOW,
        erased=erased,
    )


def forget(lake: Any, *ids: str, **kwargs: Any) -> ErasureReport:
    settings: dict[str, Any] = {"run_id": "manual__erase", "erased_at": NOW, "alone": True, **kwargs}
    return erase(lake.catalog, lake.object_file, lake.environment, ids or (HER,), **settings)


def register(lake: Any) -> list[dict[str, Any]]:
    return lake.catalog.load_table("sf_ops.erasures").scan().to_arrow().to_pylist()


@pytest.fixture
def erasing_lake(make_lake: Callable[..., Any]) -> Any:
    """A lake whose staged files are where a run would put them."""
    lake = make_lake()
    staged = lake.staged

    def staged_below_the_object(*args: Any, **kwargs: Any) -> Any:
        manifest = staged(*args, **kwargs)
        folder = lake.folder / "staging"
        (folder / "sf_user").mkdir(exist_ok=True)
        moved = {}
        for uri in (*manifest.files, *manifest.present_files):
            target = folder / "sf_user" / Path(uri).parent.name
            target.mkdir(exist_ok=True)
            moved[uri] = str(Path(uri).rename(target / Path(uri).name))
        return manifest.model_copy(
            update={
                "files": tuple(moved[uri] for uri in manifest.files),
                "present_files": tuple(moved[uri] for uri in manifest.present_files),
            }
        )

    lake.staged = staged_below_the_object
    return lake


def test_nothing_is_left_in_any_file(erasing_lake: Any) -> None:
    fill(erasing_lake)
    assert len(remains(erasing_lake.folder, HER)) > 10
    others = [row for row in erasing_lake.rows("changes") if row["id"] != HER]
    report = forget(erasing_lake)
    assert remains(erasing_lake.folder, HER, HER[:15], "Zzyzx") == []
    assert erasing_lake.rows("changes") == others
    assert set(erasing_lake.mirror()) == {user(number) for number in range(12)} - {HER}
    digest = id_digest(ORG, HER)
    counts = {name: rows[digest] for name, rows in report.removed.items()}
    assert counts == {
        "staged files": 5,
        "sf_raw.sf_user_changes": 3,
        "sf_raw.sf_user": 1,
        "sf_raw.sf_user_quarantine": 2,
        "sf_curated.dim_sf_user_scd": 3,
        "sf_curated.sf_user_snapshot": 3,
    }


def test_what_was_removed_is_recorded_without_the_data(erasing_lake: Any) -> None:
    fill(erasing_lake)
    forget(erasing_lake, HER[:15], user(99))
    hers, nobodys = sorted(register(erasing_lake), key=lambda row: -row["changes_rows"])
    assert hers == {
        "object": "user",
        "id_digest": id_digest(ORG, HER),
        "requested_at": NOW,
        "completed_at": NOW,
        "run_id": "manual__erase",
        "staged_rows": 5,
        "changes_rows": 3,
        "mirror_rows": 1,
        "quarantine_rows": 2,
        "dimension_rows": 3,
        "snapshot_rows": 3,
    }
    assert nobodys["id_digest"] == id_digest(ORG, user(99))
    assert sum(nobodys[name] for name in nobodys if name.endswith("_rows")) == 0


def test_whom_the_lake_does_not_know_never_comes_in(erasing_lake: Any) -> None:
    fill(erasing_lake)
    report = forget(erasing_lake, user(99))
    assert report.unknown == report.digests
    erasing_lake.run([erasing_lake.record(user(99), 19), erasing_lake.record(user(98), 19)], start=17, end=24)
    assert user(98) in erasing_lake.mirror()
    assert remains(erasing_lake.folder / "warehouse", user(99)) == []


def test_an_empty_lake_can_be_told_in_advance(erasing_lake: Any) -> None:
    with pytest.raises(UnknownOrg, match=r"sf_raw\.sf_user is empty.*Give the org's id"):
        forget(erasing_lake)
    forget(erasing_lake, org_id=ORG)
    erasing_lake.run(people(erasing_lake), end=6)
    assert HER not in erasing_lake.mirror()


@pytest.mark.parametrize(
    "wrong", ["", "005", "not an Id at all!", HER[:15] + "AAB", to_18("00500000000000A").lower(), 7, None]
)
def test_a_wrong_id_is_refused_before_anything_is_touched(erasing_lake: Any, wrong: Any) -> None:
    fill(erasing_lake)
    before = sorted(erasing_lake.folder.rglob("*"))
    with pytest.raises(InvalidIds, match=r"Id number 2 .*Nothing was touched"):
        forget(erasing_lake, HER, wrong)
    assert sorted(erasing_lake.folder.rglob("*")) == before


def test_a_tag_that_holds_old_rows_stops_it_before_anything_is_touched(erasing_lake: Any) -> None:
    fill(erasing_lake)
    table = erasing_lake.table("changes")
    table.manage_snapshots().create_tag(table.snapshots()[0].snapshot_id, "before_the_audit").commit()
    with pytest.raises(HistoryHeld, match=r"sf_user_changes has the branches or tags before_the_audit"):
        forget(erasing_lake)
    assert not erasing_lake.catalog.table_exists("sf_ops.erasures")


def test_another_org_is_refused(erasing_lake: Any) -> None:
    fill(erasing_lake)
    with pytest.raises(ForeignOrg):
        forget(erasing_lake, org_id="00D000000000002AAA")


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_is_made_good_by_asking_again(erasing_lake: Any, step: str) -> None:
    fill(erasing_lake)

    def crash(reached: str) -> None:
        if reached == step:
            raise Crash

    with pytest.raises(Crash):
        forget(erasing_lake, on_step=crash)
    report = forget(erasing_lake, erased_at=NOW + timedelta(hours=1))
    assert report.unfinished == (frozenset() if step == "completed" else frozenset(report.digests))
    assert remains(erasing_lake.folder, HER, HER[:15], "Zzyzx") == []
    (row,) = register(erasing_lake)
    assert {name: row[name] for name in row if name.endswith("_rows")} == {
        "staged_rows": 5,
        "changes_rows": 3,
        "mirror_rows": 1,
        "quarantine_rows": 2,
        "dimension_rows": 3,
        "snapshot_rows": 3,
    }
    assert row["requested_at"] == NOW
    manifest = erasing_lake.run(people(erasing_lake, at=19), start=17, end=24)
    assert (manifest.recovered, manifest.logged) == (0, 11)
    assert HER not in erasing_lake.mirror()


def test_a_later_refresh_does_not_bring_her_back_nor_call_her_deleted(erasing_lake: Any) -> None:
    fill(erasing_lake)
    forget(erasing_lake)
    manifest = erasing_lake.run(people(erasing_lake, at=13, division="West"), end=24)
    assert (manifest.deleted, manifest.recovered, manifest.mirror_rows) == (0, 0, 11)
    erasing_lake.run(people(erasing_lake, at=25, division="East"), start=23, end=30)
    assert {row["id"] for row in erasing_lake.rows("changes")} == {user(number) for number in range(12)} - {HER}
    assert {row["division"] for row in erasing_lake.rows("mirror")} == {"East"}
    assert remains(erasing_lake.folder / "warehouse", HER, "Zzyzx") == []


def test_the_mirror_knows_that_an_erasure_adds_nothing_to_the_log(erasing_lake: Any) -> None:
    fill(erasing_lake)
    forget(erasing_lake)
    assert erasing_lake.state().applied_changes_snapshot == erasing_lake.table("changes").current_snapshot().snapshot_id
    before = erasing_lake.snapshots()
    assert erasing_lake.run(people(erasing_lake, at=13, division="West")[4:9], start=11, end=18).logged == 0
    assert erasing_lake.snapshots() == before == (1, 1)


def test_what_the_mirror_lacked_is_still_applied_after_an_erasure(erasing_lake: Any) -> None:
    fill(erasing_lake)
    half = erasing_lake.staged([erasing_lake.record(user(number), 19) for number in (2, 7)], start=17, end=24)

    def crash(reached: str) -> None:
        if reached == "logged":
            raise Crash

    with pytest.raises(Crash):
        erasing_lake.upsert(half, on_step=crash)
    forget(erasing_lake)
    manifest = erasing_lake.run([], start=23, end=30)
    assert manifest.recovered == 1
    assert erasing_lake.mirror()[user(2)]["_extracted_at"] == half.extraction.extracted_at
    assert HER not in erasing_lake.mirror()


@pytest.mark.parametrize("at", ["planned", "logged", "recovered"])
@pytest.mark.parametrize("full", [False, True])
def test_whoever_planned_before_an_erasure_plans_again(erasing_lake: Any, at: str, full: bool) -> None:
    fill(erasing_lake)
    if at == "recovered":
        half = erasing_lake.staged(people(erasing_lake, at=19), start=17, end=24)
        with pytest.raises(Crash):
            erasing_lake.upsert(half, on_step=lambda step: crash_at("logged", step))
    span = {"end": 24} if full else {"start": 17, "end": 24}
    staged = erasing_lake.staged(people(erasing_lake, at=19, division="Central"), **span)
    waiting = [lambda: forget(erasing_lake, alone=False)]

    def meanwhile(step: str) -> None:
        if step == at and waiting:
            waiting.pop()()

    manifest = erasing_lake.upsert(staged, on_step=meanwhile)
    assert not waiting
    assert (manifest.attempts > 1, manifest.deleted) == (at != "recovered" or manifest.attempts > 1, 0)
    assert {row["division"] for row in erasing_lake.rows("mirror")} == {"Central"}
    assert HER not in erasing_lake.mirror()
    assert remains(erasing_lake.folder, HER, "Zzyzx") == []


def crash_at(wanted: str, step: str) -> None:
    if step == wanted:
        raise Crash


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("between", STEPS[:-1])
def test_an_erasure_wins_whenever_a_load_gets_in_between(erasing_lake: Any, between: str, known: bool) -> None:
    """A load that was planned before the erasure, and goes on at any of its steps; also of someone not known so far."""
    fill(erasing_lake)
    whom = HER if known else user(50)
    people_now = [*people(erasing_lake, at=19), erasing_lake.record(user(50), 19)]
    staged = erasing_lake.staged(people_now, start=17, end=24)

    def load(step: str) -> None:
        if step == between:
            erasing_lake.upsert(staged)

    forget(erasing_lake, whom, on_step=load, alone=False)
    present = {user(number) for number in (*range(12), 50)} - {whom}
    assert set(erasing_lake.mirror()) == present
    assert {row["id"] for row in erasing_lake.rows("changes")} == present
    forget(erasing_lake, whom)
    assert remains(erasing_lake.folder, whom) == []


def test_a_load_planned_before_cannot_commit_after_even_if_nobody_was_found(erasing_lake: Any) -> None:
    erasing_lake.run(people(erasing_lake), end=6)
    staged = erasing_lake.staged([erasing_lake.record(user(50), 7)], start=5, end=12)
    waiting = [lambda: forget(erasing_lake, user(50))]
    manifest = erasing_lake.upsert(staged, on_step=lambda step: waiting and step == "planned" and waiting.pop()())
    assert (manifest.attempts, manifest.logged) == (2, 0)
    assert remains(erasing_lake.folder, user(50)) == []


def test_an_erasure_under_way_is_no_deletion(erasing_lake: Any) -> None:
    """Recorded, but still in the mirror: a refresh that leaves her out must not take that for her absence."""
    fill(erasing_lake)
    with pytest.raises(Crash):
        forget(erasing_lake, on_step=lambda step: crash_at("recorded", step))
    manifest = erasing_lake.run(people(erasing_lake, at=13, division="West"), end=24)
    assert (manifest.deleted, manifest.logged > 0) == (0, True)
    assert not erasing_lake.mirror()[HER]["isdeleted"]


def test_the_volume_guard_does_not_count_the_erased(erasing_lake: Any) -> None:
    limits = {"min_volume_deviation_rows": 2, "max_volume_deviation_percent": 30.0}
    erasing_lake.object_file = erasing_lake.object_file.model_copy(update=limits)
    everyone = people(erasing_lake)
    erasing_lake.run(everyone, end=6)
    with pytest.raises(Crash):
        forget(erasing_lake, *(user(number) for number in range(5)), on_step=lambda step: crash_at("recorded", step))
    assert erasing_lake.run(everyone[6:], end=12).deleted == 1


@pytest.mark.parametrize("whom", [HER, user(50)], ids=["known", "not known so far"])
def test_the_quarantine_takes_none_of_her(erasing_lake: Any, whom: str) -> None:
    fill(erasing_lake)
    asked: list[int] = []

    def erased() -> ErasedIds:
        asked.append(1)
        found = read_erased(erasing_lake.catalog, "sf_ops", object_name="User", org_id=ORG)
        if len(asked) == 1:
            forget(erasing_lake, whom)
        return found

    quarantine(erasing_lake, [whom, user(5)], run_id="later", erased=erased)
    assert len(asked) == 2
    rows = erasing_lake.table("quarantine").scan().to_arrow().to_pylist()
    assert whom not in {row["id"] for row in rows}
    assert user(5) in {row["id"] for row in rows}


def test_asking_twice_changes_nothing(erasing_lake: Any) -> None:
    fill(erasing_lake)
    first = forget(erasing_lake)
    rows = register(erasing_lake)
    second = forget(erasing_lake, erased_at=NOW + timedelta(days=1))
    assert (first.repeated, second.repeated) == (frozenset(), frozenset(second.digests))
    assert second.unknown == second.digests
    assert register(erasing_lake) == rows


def test_files_that_a_killed_run_left_are_removed(erasing_lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(erasing_lake)
    staged = erasing_lake.staged(people(erasing_lake, at=19), start=17, end=24)
    broken = Path(staged.files[0]).with_name("broken.parquet")
    broken.write_bytes(Path(staged.files[0]).read_bytes()[:-8])

    def die(*_: Any) -> None:
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(erasing_lake.catalog, "commit_table", die)
        with pytest.raises(Crash):
            erasing_lake.upsert(staged)
    forget(erasing_lake)
    assert not broken.exists()
    assert remains(erasing_lake.folder, HER, "Zzyzx") == []


def test_hundreds_at_once(erasing_lake: Any) -> None:
    erasing_lake.run(people(erasing_lake, 900), end=6)
    forget(erasing_lake, *(user(number) for number in range(0, 900, 3)))
    assert len(erasing_lake.mirror()) == 600
    assert {int(key[3:15]) % 3 for key in erasing_lake.mirror()} == {1, 2}


def test_account_keeps_its_rows_when_a_user_is_erased(make_lake: Callable[..., Any]) -> None:
    lake = make_lake()
    fill(lake)
    upserted = upsert(
        lake.catalog, lake.object_file, lake.environment, lake.staged(people(lake, at=19), start=17, end=24)
    )
    assert upserted.logged
    forget(lake)
    erased = read_erased(lake.catalog, "sf_ops", object_name="Account", org_id=ORG)
    assert not erased


def test_marking_what_was_replayed_beside_an_erasure_loses_no_row(
    erasing_lake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """She is not in the quarantine, so the erasure makes no snapshot there: only its property tells the marking."""
    erasing_lake.run(people(erasing_lake), end=6)
    quarantine(erasing_lake, [user(3)], run_id="rejecting")
    rows = erasing_lake.table("quarantine").scan().to_arrow()
    real = quarantine_module.commit_once

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(quarantine_module, "commit_once", real)
        forget(erasing_lake)
        return real(*args, **kwargs)

    monkeypatch.setattr(quarantine_module, "commit_once", overtaken)
    marked = quarantine_module.mark_replayed(
        catalog=erasing_lake.catalog,
        table_name=erasing_lake.tables.quarantine,
        marked=set(fingerprints(rows)),
        replayed_at=NOW,
    )
    now = erasing_lake.table("quarantine").scan().to_arrow().to_pylist()
    assert (marked, [row["_replayed_at"] for row in now]) == (2, [NOW, NOW])
