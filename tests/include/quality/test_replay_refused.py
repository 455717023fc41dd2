"""What a replay leaves in the quarantine, and what the list of it says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField, StringType, TimestamptzType

from include.lake.schema_growth import UNSEEN
from include.quality import rejudge
from include.quality.listing import Listing
from include.quality.validation import TooManyRejects
from include.staging.manifest import ReplayManifest
from tests.include.quality.replay_lake import RELAXED, STRICT, Lake, at
from tests.include.quality.rows import user_id

OLD = ("id", "record", "reasons", "_extraction_run_id")


def test_under_the_old_rules_nothing_is_replayed(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    before = lake.metadata()
    told = lake.replay(STRICT)
    assert (told.replayed, told.refused, told.logged) == (0, 1, 0)
    assert lake.metadata() == before
    assert lake.entry(STRICT).state == "open"


def test_the_loser_of_a_contested_id_is_never_replayed(lake: Lake) -> None:
    lake.run(at(0.5, 1, division="North"), at(0.5, 1, division="South"), hour=1)
    assert lake.entry().reasons == "duplicate Id: two states with the same SystemModstamp"
    assert (lake.entry().state, lake.replay().replayed) == ("open", 0)
    assert len(lake.log(1)) == 2


def test_of_a_contested_id_that_was_refused_altogether_the_winner_is_replayed(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None, division="North"), at(0.5, 1, name=None, division="South"), hour=1)
    told = lake.replay()
    assert (told.replayed, told.refused, told.logged) == (1, 1, 1)


def test_a_value_that_another_live_record_holds_now_is_never_replayed(lake: Lake) -> None:
    lake.run(at(0.5, 1, username="mine"), at(0.5, 2, username="mine"), hour=1)
    assert lake.entry().reasons == f"Username 'mine' is shared with {user_id(1)}"
    assert (lake.entry().state, lake.replay().replayed) == ("open", 0)
    lake.run(at(1.5, 1, username="other"), hour=2)
    assert (lake.entry().state, lake.replay().replayed) == ("can be replayed", 1)
    assert [row["username"] for row in lake.log(2)] == ["mine"]


def test_records_that_would_collide_among_themselves_stay(lake: Lake) -> None:
    lake.run(*(at(0.5, number, name=None, username="same") for number in (5, 3, 4)), hour=1, file=RELAXED)
    assert [row["id"] for row in lake.log() if row["username"] == "same"] == [user_id(3)]
    lake.run(at(1.5, 3, username="free"), hour=2, file=RELAXED)
    assert {entry.state for entry in lake.list().entries} == {"open"}
    assert (lake.replay().replayed, lake.replay().refused) == (0, 2)
    shared = {entry.identity: entry.note for entry in lake.list().entries}
    assert f"shared with {user_id(5)}" in shared[user_id(4)]
    assert f"shared with {user_id(4)}" in shared[user_id(5)]


def test_a_value_of_a_deleted_record_is_free_and_ones_own_is_not_shared(lake: Lake) -> None:
    lake.run(at(0.5, 1, username="mine", isdeleted=True), at(0.5, 2, name=None, username="mine"), hour=1)
    assert lake.entry().reasons == f"Name is missing; Username 'mine' is shared with {user_id(1)}"
    assert lake.replay().replayed == 1
    lake.run(at(1.5, 2, name=None, username="mine"), hour=2)
    assert lake.replay().replayed == 1


def test_a_record_that_was_mended_in_salesforce_says_so(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), at(0.5, 2, name=None), hour=1)
    assert {entry.note for entry in lake.list(STRICT).entries} == {""}
    lake.run(at(1.5, 1, name="mended"), hour=2)
    notes = {entry.identity: (entry.state, entry.note) for entry in lake.list(STRICT).entries}
    assert notes[user_id(1)] == ("open", "mended in Salesforce: a newer state is in")
    assert notes[user_id(2)] == ("open", "")


def test_other_reasons_by_the_present_rules_are_told(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None, division=None), hour=1)
    entry = lake.entry(STRICT.model_copy(update={"required": ("Id", "Division")}))
    assert (entry.reasons, entry.note) == ("Name is missing", "by the present rules: Division is missing")


def test_records_without_an_id_are_listed_each_and_never_replayed(lake: Lake) -> None:
    lake.run(at(0.5, 1, id=None), at(0.5, 2, id=None), at(0.5, 3, id=""), hour=1)
    listing = lake.list()
    assert len(listing.entries) == 3
    assert listing.states == {"open": 3}
    assert listing.reasons == {"Id is missing": 3}
    assert lake.replay().replayed == 0


def test_counts_are_by_rule_whatever_the_values_are(lake: Lake) -> None:
    lake.run(
        at(0.5, 1, username="a; b' is shared with x"),
        at(0.5, 2, username="a; b' is shared with x", name=None),
        at(0.5, 3, id="not; an id"),
        at(0.5, 4, id="x is not 15 or 18 letters and digits"),
        hour=1,
    )
    assert lake.list(STRICT).reasons == {"Id is malformed": 2, "Name is missing": 1, "Username is not unique": 1}


def test_a_required_field_that_was_not_read_then_refuses(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), hour=1, unread=("Division",))
    entry = lake.entry(STRICT.model_copy(update={"required": ("Id", "Division")}))
    assert (entry.state, entry.note) == ("open", "by the present rules: Division was not read")


def test_a_field_without_a_column_waits_for_the_next_run(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    with lake.catalog.load_table("sf_raw.sf_user").update_schema(allow_incompatible_changes=True) as update:
        update.update_column("division", doc=UNSEEN)
    entry = lake.entry()
    assert entry.state == "cannot be replayed"
    assert entry.note == "Division has no column in the mirror yet: replay it again after the next run"
    assert lake.replay().unplaceable == 1


def test_an_object_that_was_never_loaded_has_nothing_to_replay_into(make_lake: Callable[[str], Lake]) -> None:
    lake = make_lake("empty")
    assert lake.list() == Listing(table="sf_raw.sf_user_quarantine")
    assert lake.replay() == ReplayManifest(table="sf_raw.sf_user_quarantine")
    with pytest.raises(TooManyRejects):
        lake.run(at(-1, 1, name=None), hour=0, file=STRICT.model_copy(update={"max_error_percent": 5.0}))
    assert lake.entry().state == "cannot be replayed"
    assert "the first load reads every record" in lake.entry().note
    assert lake.replay().unplaceable == 1
    assert not lake.catalog.table_exists("sf_raw.sf_user")


def test_records_of_another_org_stay_out(make_lake: Callable[[str], Lake]) -> None:
    """Nothing belongs to an org before the first load: a first connection may have been the wrong one."""
    lake = make_lake("two_orgs")
    file = STRICT.model_copy(update={"max_error_percent": 5.0})
    with pytest.raises(TooManyRejects):
        lake.run(at(-1, 1, name=None), hour=0, file=file, run_id="wrong", org_id="00D000000000002EAA")
    lake.run(at(-1, 0), hour=0)
    entry = lake.entry()
    assert entry.state == "cannot be replayed"
    assert "00D000000000002EAA" in entry.note
    assert "00D000000000001EAA" in entry.note
    assert lake.replay().unplaceable == 1


def test_a_stored_record_that_is_damaged_is_told_and_harms_no_other(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), at(0.5, 2, name=None), at(0.5, 3, name=None), hour=1)
    table = lake.catalog.load_table("sf_raw.sf_user_quarantine")
    rows = table.scan().to_arrow().sort_by("id").to_pylist()
    rows[0]["record"] = "{"
    rows[1]["record"] = rows[1]["record"].replace("true", '"perhaps"')
    table.overwrite(pa.Table.from_pylist(rows, table.schema().as_arrow()))
    assert [entry.state for entry in lake.list().entries] == ["can be replayed"] + ["cannot be replayed"] * 2
    told = lake.replay()
    assert (told.replayed, told.unplaceable) == (1, 2)


def test_rows_of_the_first_release_are_listed_and_wait_for_a_repeat_of_their_run(lake: Lake) -> None:
    """Such rows lack the window they were read in; a run that is validated again writes them with it."""
    lake.run(at(0.5, 1, name=None), hour=1)
    name = "sf_raw.sf_user_quarantine"
    (row,) = lake.rows("sf_user_quarantine")
    lake.catalog.drop_table(name)
    old = Schema(
        *(NestedField(number, one, StringType()) for number, one in enumerate(OLD, start=1)),
        NestedField(5, "_quarantined_at", TimestamptzType()),
    )
    table = lake.catalog.create_table(name, old)
    table.append(pa.Table.from_pylist([row], table.schema().as_arrow()))
    entry = lake.entry()
    assert (entry.identity, entry.reasons, entry.state) == (user_id(1), "Name is missing", "cannot be replayed")
    assert entry.note.startswith("made before layout version 2 of the table")
    assert (lake.replay().unplaceable, len(lake.log(1))) == (1, 1)
    lake.run(at(1.5, 2, name=None), hour=2)
    assert {entry.identity: entry.state for entry in lake.list().entries} == {
        user_id(1): "cannot be replayed",
        user_id(2): "can be replayed",
    }
    lake.run(at(0.5, 1, name=None), hour=1)
    assert (lake.replay().replayed, lake.replay().replayed) == (2, 0)
    assert len(lake.log(1)) == 2


def test_a_quarantine_without_a_fit_record_reads_nothing_of_the_mirror(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.run(at(0.5, 7, name=None), hour=1)
    read: list[Any] = []
    monkeypatch.setattr(rejudge, "read_file", lambda *args: read.append(args))
    strict = STRICT.model_copy(update={"unique": ("Id", "Name")})
    assert lake.replay(strict).refused == 1
    assert read == []
