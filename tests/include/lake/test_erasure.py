"""A person who was erased is nowhere: not in a row, not in a file, not in a bound, and does not come back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from include.lake.erased import ErasedIds, InvalidIds, id_digest, read_erased
from include.lake.erasure_report import UnknownOrg
from include.lake.expiry import HistoryHeld
from include.lake.upsert import upsert
from include.lake.watermark import ForeignOrg
from include.salesforce.ids import to_18
from tests.include.lake.erasing import HER, NOW, ORG, ROWS_OF_HERS, fill, forget, people, quarantine, register, user
from tests.include.lake.remains import remains


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
        **ROWS_OF_HERS,
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
