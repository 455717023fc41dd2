"""Replaying the quarantine: exactly what would have been logged had the rules been as they are now, once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import NestedField, StringType, TimestamptzType

from include.config.environment import current_environment
from include.config.object_file import ObjectFile
from include.flow import Flow
from include.lake.schema_growth import UNSEEN
from include.lake.watermark import LakeState
from include.quality import rejudge, replay
from include.quality.listing import Entry, Listing, list_quarantine
from include.quality.validation import TooManyRejects
from include.salesforce.convert import schema_of
from include.salesforce.ids import to_18
from include.staging import store
from include.staging.manifest import ExtractionManifest, ReplayManifest, Window
from tests.include.quality.conftest import FILE, NOON, user, user_id

STRICT = FILE.model_copy(update={"max_error_percent": 100.0})
RELAXED = STRICT.model_copy(update={"required": ("Id",)})
OLD = ("id", "record", "reasons", "_extraction_run_id")
Staged = Callable[..., ExtractionManifest]


class Lake:
    """A lake, runs of given rows into it, and its quarantine."""

    def __init__(self, folder: Path, staged: Staged) -> None:
        self.environment = current_environment({"SF_HISTORY_LAKE": str(folder)})
        self.folder, self.staged = folder, staged
        folder.mkdir()
        self.catalog = SqlCatalog(
            "iceberg_default", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse"
        )

    def flow(self, object_file: ObjectFile = STRICT) -> Flow:
        return Flow(object_file=object_file, environment=self.environment, catalog=self.catalog)

    def run(
        self,
        *rows: dict[str, Any],
        hour: int,
        file: ObjectFile = STRICT,
        run_id: str | None = None,
        unread: tuple[str, ...] = (),
        org_id: str | None = None,
        attempt: int = 0,
    ) -> None:
        """validate and upsert_raw of a run whose window ends some hours after noon; the first one reads everything."""
        end = NOON + timedelta(hours=hour)
        start = None if hour == 0 else end - timedelta(hours=1)
        window = Window(start=start, end=end, kind="scheduled", full_refresh=start is None, reason="test")
        extraction = self.staged(*rows, run_id=run_id or f"{self.folder.name}_{hour}")
        fields = tuple(field for field in extraction.plan.fields if field.name not in unread)
        changed: dict[str, Any] = {"window": window, "fields": fields}
        plan = extraction.plan.model_copy(update=changed | ({"org_id": org_id} if org_id else {}))
        extracted_at = end + timedelta(minutes=1 + attempt)
        extraction = extraction.model_copy(update={"plan": plan, "extracted_at": extracted_at})
        flow = self.flow(file)
        flow.upsert(flow.validate(extraction))

    def replay(self, file: ObjectFile = RELAXED) -> ReplayManifest:
        return self.flow(file).replay_quarantine()

    def list(self, file: ObjectFile = RELAXED) -> Listing:
        return list_quarantine(catalog=self.catalog, object_file=file, environment=self.environment)

    def entry(self, file: ObjectFile = RELAXED) -> Entry:
        (entry,) = self.list(file).entries
        return entry

    def rows(self, table: str) -> list[dict[str, Any]]:
        rows = self.catalog.load_table(f"sf_raw.{table}").scan().to_arrow().to_pylist()
        return sorted(rows, key=lambda row: (row["id"] or "", str(row.get("_window_end")), str(row)))

    def log(self, *numbers: int) -> list[dict[str, Any]]:
        ids = {user_id(number) for number in numbers}
        return [row for row in self.rows("sf_user_changes") if not ids or row["id"] in ids]

    def metadata(self) -> list[str]:
        names = ("sf_user", "sf_user_changes", "sf_user_quarantine")
        return [self.catalog.load_table(f"sf_raw.{name}").metadata_location for name in names]


def at(hour: float, number: int = 1, **values: Any) -> dict[str, Any]:
    """A user that was touched some hours after noon."""
    moment = NOON + timedelta(hours=hour)
    return user(number, lastmodifieddate=moment, systemmodstamp=moment, **values)


@pytest.fixture
def make_lake(tmp_path: Path, staged: Staged) -> Callable[[str], Lake]:
    return lambda name: Lake(tmp_path / name, staged)


@pytest.fixture
def lake(make_lake: Callable[[str], Lake]) -> Iterator[Lake]:
    """A lake whose first load accepted users 0 and 1."""
    made = make_lake("lake")
    made.run(at(-1, 0), at(-1, 1), hour=0)
    yield made
    assert not list(Path(made.environment.staging_uri).rglob("replay-*")), "a replay left files behind"


def same_but_for_runs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "_extraction_run_id"} for row in rows]


def test_a_replayed_record_is_logged_at_its_place_as_if_it_had_been_accepted(
    lake: Lake, make_lake: Callable[[str], Lake]
) -> None:
    calm = make_lake("calm")
    for one, file in ((lake, STRICT), (calm, RELAXED)):
        if one is calm:
            one.run(at(-1, 0), at(-1, 1), hour=0, file=file)
        one.run(at(0.5, 1, name=None, division="South"), at(0.5, 2, name=""), hour=1, file=file)
        one.run(at(1.5, 1, name="back", division="West"), hour=2, file=file)
    assert len(lake.log(1, 2)) == 2
    told = lake.replay()
    assert (told.replayed, told.batches, told.logged, told.inserted, told.updated) == (2, 1, 2, 1, 0)
    assert same_but_for_runs(lake.log()) == same_but_for_runs(calm.log())
    assert same_but_for_runs(lake.rows("sf_user")) == same_but_for_runs(calm.rows("sf_user"))
    batch = {(row["_extraction_run_id"], row["_window_end"]) for row in lake.log(2)}
    assert batch == {("replayed lake_1", NOON + timedelta(hours=1))}


def test_a_second_replay_commits_nothing(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    lake.replay()
    before = lake.metadata()
    told = lake.replay()
    assert (told.replayed, told.logged, told.batches) == (0, 0, 0)
    assert lake.metadata() == before


def test_a_crash_before_the_mark_is_made_good_by_marking(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run(at(0.5, 1, name=None), at(0.5, 2, name=None), hour=1)

    def die(**_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(replay, "mark_replayed", die)
        with pytest.raises(KeyboardInterrupt):
            lake.replay()
    assert [entry.state for entry in lake.list().entries] == ["can be replayed"] * 2
    log, mirror, _ = lake.metadata()
    told = lake.replay()
    assert (told.replayed, told.logged) == (2, 0)
    assert lake.metadata()[:2] == [log, mirror]
    assert [entry.state for entry in lake.list().entries] == ["replayed"] * 2


def test_under_the_old_rules_nothing_is_replayed(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    before = lake.metadata()
    told = lake.replay(STRICT)
    assert (told.replayed, told.refused, told.logged) == (0, 1, 0)
    assert lake.metadata() == before
    assert lake.entry(STRICT).state == "open"


@pytest.mark.parametrize("hours", [1, 9])
def test_a_replay_never_moves_watermark_or_refresh(lake: Lake, hours: int) -> None:
    """Even that of a run past the watermark, which the gate stopped: its other records are still to come."""
    file = STRICT.model_copy(update={"max_error_percent": 5.0})
    with pytest.raises(TooManyRejects):
        lake.run(at(hours - 0.5, 1, name=None), hour=hours, file=file)
    before = LakeState.of(lake.catalog.load_table("sf_raw.sf_user"))
    assert lake.replay().logged == 1
    after = LakeState.of(lake.catalog.load_table("sf_raw.sf_user"))
    assert (after.watermark, after.last_full_refresh) == (before.watermark, before.last_full_refresh) == (NOON, NOON)
    assert after.newest_window_end == NOON + timedelta(hours=hours)
    lake.run(at(hours - 0.5, 1, name=None), at(hours - 0.5, 2), hour=hours, file=RELAXED, attempt=1)
    assert [row["id"] for row in lake.log(1, 2)] == [user_id(1), user_id(1), user_id(2)]


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


def test_the_same_refusal_run_after_run_is_one_observation(lake: Lake) -> None:
    for hour in (1, 2, 3):
        lake.run(at(0.5, 1, name=None), hour=hour)
    entry = lake.entry()
    assert (entry.times_seen, entry.state) == (3, "can be replayed")
    assert entry.first_seen <= entry.last_seen
    told = lake.replay()
    assert (told.replayed, told.batches, told.logged) == (3, 3, 1)
    assert [row["_window_end"] for row in lake.log(1)] == [NOON, NOON + timedelta(hours=1)]


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


def test_every_type_comes_back_as_it_was(lake: Lake, make_lake: Callable[[str], Lake]) -> None:
    odd = {
        "division": "NUL \x00, quote ' \" and 東京 🎉 \u202e",
        "username": "",
        "isactive": None,
        "lastmodifieddate": datetime(1, 1, 1, tzinfo=UTC),
        "systemmodstamp": NOON + timedelta(minutes=1, microseconds=123456),
    }
    calm = make_lake("calm")
    calm.run(at(-1, 0), at(-1, 1), hour=0, file=RELAXED)
    calm.run(user(2, name=None, **odd), hour=1, file=RELAXED)
    lake.run(user(2, name=None, **odd), hour=1)
    assert lake.replay().logged == 1
    assert same_but_for_runs(lake.log(2)) == same_but_for_runs(calm.log(2))


def test_what_was_not_read_stays_unknown(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None, division=None), hour=1, unread=("Division",))
    lake.replay()
    observed = lake.log(1)[-1]["_observed_columns"].split(",")
    assert "division" not in observed
    assert {"id", "isdeleted", "name"} <= set(observed)


def test_a_field_that_the_object_file_lists_no_more_is_not_claimed_as_seen(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    fields = tuple(name for name in RELAXED.fields if name != "Username")
    lake.replay(RELAXED.model_copy(update={"fields": fields, "unique": ("Id",)}))
    assert "username" not in lake.log(1)[-1]["_observed_columns"]


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


def test_a_repeat_of_the_run_keeps_what_was_replayed(lake: Lake) -> None:
    lake.run(at(0.5, 1, name=None), at(0.5, 2, id="x"), hour=1)
    lake.replay()
    before = lake.metadata()
    lake.run(at(0.5, 1, name=None), at(0.5, 2, id="x"), hour=1, attempt=1)
    assert lake.metadata() == before
    lake.run(at(0.5, 1, name=None), at(0.5, 3, id="y"), hour=1, attempt=2)
    rows = {row["id"]: row["_replayed_at"] for row in lake.rows("sf_user_quarantine")}
    assert set(rows) == {user_id(1), "y"}
    assert rows[user_id(1)] is not None
    assert rows["y"] is None


def test_a_record_past_the_windows_end_is_the_next_windows(lake: Lake) -> None:
    lake.run(at(2, 1, name=None), hour=1)
    told = lake.replay()
    assert (told.replayed, told.logged) == (1, 0)


def test_many_records_of_many_runs_are_replayed_in_parts(lake: Lake) -> None:
    for hour in (1, 2):
        lake.run(*(at(hour - 0.5, number, name=None) for number in range(10)), hour=hour)
    assert RELAXED.batch_size == 3
    told = lake.replay()
    assert (told.replayed, told.batches, told.logged) == (20, 2, 20)


def test_staged_rows_have_the_schema_that_extract_gives_them(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.run(at(0.5, 1, name=None), hour=1)
    plan = lake.staged(run_id="again").plan
    written: list[pa.Schema] = []
    write = store.write_parquet

    def note(folder: str, batches: Any, schema: pa.Schema, stem: str) -> list[str]:
        written.append(schema)
        return write(folder, batches, schema, stem)

    monkeypatch.setattr(store, "write_parquet", note)
    lake.replay()
    assert written == [schema_of(plan, FILE)]


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


def test_a_replay_does_not_bring_back_who_was_erased(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """She is erased between the judging and the upsert: her record is staged for the replay by then."""
    lake.run(at(0.5, 1, name=None), at(0.5, 2, name=None), hour=1)
    upsert = replay.upsert

    def erased_just_before(*arguments: Any) -> Any:
        lake.flow().erase([to_18(user_id(2)[:15])], run_id="erase", alone=True)
        return upsert(*arguments)

    monkeypatch.setattr(replay, "upsert", erased_just_before)
    lake.replay()
    assert [row["id"] for row in lake.rows("sf_user_quarantine")] == [user_id(1)]
    assert user_id(2) not in {row["id"] for name in ("sf_user", "sf_user_changes") for row in lake.rows(name)}
    assert len(lake.log(1)) == 2


@pytest.mark.parametrize(("age", "left"), [(timedelta(hours=49), False), (timedelta(hours=47), True)])
def test_what_a_killed_replay_has_staged_goes_when_nobody_can_be_at_it(lake: Lake, age: timedelta, left: bool) -> None:
    lake.run(at(0.5, 7, name=None), hour=1)
    staging = Path(lake.environment.staging_uri) / STRICT.table
    files = [staging / name / "000000" / "accepted-00000.parquet" for name in ("replay-0123", "scheduled__1")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_bytes(b"a person")
        moment = (datetime.now(UTC) - age).timestamp()
        os.utime(file, (moment, moment))
    lake.replay()
    assert [file.exists() for file in files] == [left, True]
    store.remove(str(staging / "replay-0123"))


def test_a_quarantine_without_a_fit_record_reads_nothing_of_the_mirror(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.run(at(0.5, 7, name=None), hour=1)
    read: list[Any] = []
    monkeypatch.setattr(rejudge, "read_file", lambda *args: read.append(args))
    strict = STRICT.model_copy(update={"unique": ("Id", "Name")})
    assert lake.replay(strict).refused == 1
    assert read == []
