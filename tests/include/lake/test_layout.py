"""Tables say which layout they have; older ones are brought up to it, later ones are left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.types import NestedField, StringType, TimestamptzType

from include.lake import layout
from include.lake.known_fields import remember_fields
from include.lake.layout import CURRENT, LAYOUT_VERSION, LayoutTooNew, bring_up_to_date, layout_of
from include.lake.run_log import SCHEMA as RUNS_SCHEMA
from include.lake.run_log import TABLE as RUNS
from include.lake.run_log import read_run, read_runs, record_run
from include.quality.quarantine import mark_replayed, write_quarantine
from include.quality.quarantine_table import SCHEMA, Origin, find_quarantine, open_quarantine, read_quarantine
from include.staging.known_field import KnownField

NAME = "sf_raw.sf_user_quarantine"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ORIGIN = Origin(run_id="new", extracted_at=NOON, window_end=NOON, observed_columns="id", org_id="00D")


def old_quarantine(catalog: Catalog) -> Table:
    """The quarantine as the first release made it, with a row."""
    names = ("id", "record", "reasons", "_extraction_run_id")
    fields = [NestedField(number, name, StringType()) for number, name in enumerate(names, start=1)]
    schema = Schema(*fields, NestedField(5, "_quarantined_at", TimestamptzType()))
    catalog.create_namespace_if_not_exists("sf_raw")
    table = catalog.create_table(NAME, schema, properties={"format-version": "2"})
    row = dict.fromkeys(names, "old") | {"_quarantined_at": NOON}
    table.append(pa.Table.from_pylist([row], table.schema().as_arrow()))
    return table


def columns(table: Table) -> dict[str, str]:
    return {field.name: str(field.field_type) for field in table.schema().fields}


def test_every_table_that_python_makes_says_its_layout(lake: Any) -> None:
    lake.run([lake.record("005", 1)], end=2)
    open_quarantine(lake.catalog, lake.tables.quarantine)
    record_run(lake.catalog, "sf_ops", {"run_id": "a", "object": "User"})
    seen = KnownField(field="Id", salesforce_type="id", state="there", first_seen=None, last_changed=NOON)
    remember_fields(lake.catalog, "sf_ops", "User", lambda _: {"id": seen})
    made = [".".join(name) for space in lake.catalog.list_namespaces() for name in lake.catalog.list_tables(space)]
    assert len(made) == 6
    for name in made:
        assert lake.catalog.load_table(name).properties[LAYOUT_VERSION] == str(CURRENT), name


def test_a_quarantine_of_the_first_release_becomes_what_a_new_one_is(lake: Any) -> None:
    old = old_quarantine(lake.catalog)
    snapshot = old.current_snapshot()
    table = open_quarantine(lake.catalog, NAME)
    assert layout_of(table) == CURRENT == 3
    assert columns(table) == {field.name: str(field.field_type) for field in SCHEMA.fields}
    assert table.current_snapshot() == snapshot, "its rows need not be written again"
    row = table.scan().to_arrow().to_pylist()[0]
    assert (row["id"], row["record"], row["_quarantined_at"], row["_window_end"]) == ("old", "old", NOON, None)
    before = table.metadata_location
    assert open_quarantine(lake.catalog, NAME).metadata_location == before


def test_old_rows_are_read_without_writing_anything(lake: Any) -> None:
    old = old_quarantine(lake.catalog)
    found = find_quarantine(lake.catalog, NAME)
    assert found is not None
    (rows,) = read_quarantine(found, batch_rows=10)
    assert sorted(rows.schema.names) == sorted(field.name for field in SCHEMA.fields)
    assert rows.column("_replayed_at").to_pylist() == [None]
    assert lake.catalog.load_table(NAME).metadata_location == old.metadata_location


def test_mirror_log_and_ledger_of_the_first_release_are_taken_over(lake: Any) -> None:
    lake.run([lake.record("005", 1)], end=2)
    for name in ("mirror", "changes", "ledger"):
        with lake.table(name).transaction() as change:
            change.remove_properties(LAYOUT_VERSION)
        assert layout_of(lake.table(name)) == 1
    lake.run([lake.record("005", 3)], end=4, start=1)
    assert [layout_of(lake.table(name)) for name in ("mirror", "changes", "ledger")] == [CURRENT] * 3
    assert lake.mirror()["005"]["lastmodifieddate"].hour == 3
    assert len(lake.rows("changes")) == 2


def test_many_may_bring_a_table_up_at_once(lake: Any) -> None:
    old_quarantine(lake.catalog)
    others = 4
    start = threading.Barrier(others)

    def bring() -> int:
        table = lake.connect().load_table(NAME)
        start.wait()
        return layout_of(bring_up_to_date(table, "quarantine"))

    with ThreadPoolExecutor(others) as pool:
        assert [one.result() for one in [pool.submit(bring) for _ in range(others)]] == [CURRENT] * others
    table = lake.catalog.load_table(NAME)
    assert columns(table) == {field.name: str(field.field_type) for field in SCHEMA.fields}
    assert table.scan().to_arrow().num_rows == 1


def test_a_step_that_died_half_way_is_made_again(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = old_quarantine(lake.catalog)

    def die(self: Transaction) -> Table:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "commit_transaction", die)
        with pytest.raises(KeyboardInterrupt):
            open_quarantine(lake.catalog, NAME)
    assert columns(lake.catalog.load_table(NAME)) == columns(table), "nothing of a step is there without the rest"
    with table.update_schema() as update:
        update.add_column("_window_end", TimestamptzType())
    assert columns(open_quarantine(lake.catalog, NAME)).items() >= {"_replayed_at": "timestamptz"}.items()


def test_a_slower_run_does_not_set_back_what_a_later_release_has_set(lake: Any) -> None:
    old_quarantine(lake.catalog)
    slow = lake.catalog.load_table(NAME)
    with lake.catalog.load_table(NAME).transaction() as change:
        change.set_properties({LAYOUT_VERSION: "4"})
    with pytest.raises(LayoutTooNew):
        bring_up_to_date(slow, "ledger")
    assert lake.catalog.load_table(NAME).properties[LAYOUT_VERSION] == "4"


def test_a_conflict_that_never_ends_is_raised(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table = old_quarantine(lake.catalog)
    tries: list[int] = []

    def refuse(self: Transaction) -> Table:
        tries.append(1)
        raise CommitFailedException("somebody was faster")

    monkeypatch.setattr(Transaction, "commit_transaction", refuse)
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
    with pytest.raises(CommitFailedException):
        bring_up_to_date(table, "quarantine")
    assert len(tries) == layout._MOST_ATTEMPTS


@pytest.mark.parametrize("said", ["4", "1000", "two", "0", "-1", ""])
def test_a_layout_that_is_not_known_is_refused_with_what_to_do(lake: Any, said: str) -> None:
    table = old_quarantine(lake.catalog)
    with table.transaction() as change:
        change.set_properties({LAYOUT_VERSION: said})
    with pytest.raises(LayoutTooNew) as caught:
        open_quarantine(lake.catalog, NAME)
    for part in (NAME, f"layout version {said}", "knows versions 1 to 3", "Deploy that release", LAYOUT_VERSION):
        assert part in str(caught.value)


Act = Callable[[Any], object]


@pytest.mark.parametrize(
    ("table", "act"),
    [
        ("sf_raw.sf_user", lambda lake: lake.run([lake.record("005", 3)], end=4)),
        ("sf_raw.sf_user_changes", lambda lake: lake.run([lake.record("005", 3)], end=4)),
        ("sf_curated.sf_user_consumed", lambda lake: lake.run([lake.record("005", 3)], end=4)),
        (f"sf_ops.{RUNS}", lambda lake: record_run(lake.catalog, "sf_ops", {"run_id": "b", "object": "User"})),
        (
            NAME,
            lambda lake: write_quarantine(
                catalog=lake.catalog, table_name=NAME, reject_files=(), origin=ORIGIN, quarantined_at=NOON
            ),
        ),
        (
            NAME,
            lambda lake: mark_replayed(catalog=lake.catalog, table_name=NAME, marked={b"one"}, replayed_at=NOON),
        ),
        (NAME, lambda lake: find_quarantine(lake.catalog, NAME)),
    ],
)
def test_nobody_writes_a_table_of_a_later_layout(lake: Any, table: str, act: Act) -> None:
    lake.run([lake.record("005", 1)], end=2)
    open_quarantine(lake.catalog, NAME)
    record_run(lake.catalog, "sf_ops", {"run_id": "a", "object": "User"})
    with lake.catalog.load_table(table).transaction() as change:
        change.set_properties({LAYOUT_VERSION: "4"})
    before = lake.catalog.load_table(table).metadata_location
    with pytest.raises(LayoutTooNew, match=table):
        act(lake)
    assert lake.catalog.load_table(table).metadata_location == before


def test_runs_of_the_release_before_stay_on_record(lake: Any) -> None:
    """`pipeline_runs` of layout 2, with a row: the metrics came later, and the row lacks them."""
    before = [field for field in RUNS_SCHEMA if field.name not in layout._CAME_WITH[3]["runs"]]
    assert len(before) == 27
    lake.catalog.create_namespace("sf_ops")
    table = lake.catalog.create_table(f"sf_ops.{RUNS}", pa.schema(before), properties={LAYOUT_VERSION: "2"})
    old = dict.fromkeys((field.name for field in before), None)
    old |= {"run_id": "old", "object": "User", "records": 7, "recorded_at": NOON, "state": "success"}
    table.append(pa.Table.from_pylist([old], schema=pa.schema(before)))
    assert read_runs(lake.catalog, "sf_ops").to_pylist() == [dict.fromkeys(RUNS_SCHEMA.names) | old], "read as it is"
    assert layout_of(lake.catalog.load_table(f"sf_ops.{RUNS}")) == 2, "reading changes nothing"
    record_run(lake.catalog, "sf_ops", {"run_id": "new", "object": "User", "quality_score": 99.5, "error": "one line"})
    upgraded = lake.catalog.load_table(f"sf_ops.{RUNS}")
    assert layout_of(upgraded) == CURRENT
    assert upgraded.schema().as_arrow().names == RUNS_SCHEMA.names, "in the order in which a new table has them"
    first, second = read_runs(lake.catalog, "sf_ops").to_pylist()
    assert first == dict.fromkeys(RUNS_SCHEMA.names) | old
    assert (second["run_id"], second["quality_score"], second["error"]) == ("new", 99.5, "one line")
    record_run(lake.catalog, "sf_ops", {"run_id": "old", "object": "User", "quality_score": 98.0})
    assert read_run(lake.catalog, "sf_ops", run_id="old", object_name="User")["quality_score"] == 98.0  # type: ignore[index]
    assert read_runs(lake.catalog, "sf_ops").num_rows == 2
