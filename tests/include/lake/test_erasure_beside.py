"""Erasure beside what else goes on: other erasures, spellings, commits that came first, processes that died."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.lake import erased
from include.lake.erased import read_erased, record_request
from include.lake.known_fields import read_known_fields, remember_fields
from include.lake.turn import give_back_turn, take_turn
from include.staging.known_field import KnownField
from tests.include.lake.test_erasure import HER, NOW, ORG, erasing_lake, fill, forget, people, register

__all__ = ["erasing_lake"]


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
