"""What the events of a scenario add up to, at any time of the org's clock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.org import timestamps
from local.org.database import Database
from local.org.event import Event
from local.org.ids import numbered
from local.org.queries import Queries
from local.org.scenario import iter_events
from local.org.schema import Schema
from local.org.store import Store

DAY = timestamps.parse("2026-01-05T00:00:00Z")
KEY = numbered("001", 1)
FIELDS = ["Name", "Industry", "IsPartner", "IsDeleted", "CreatedDate", "LastModifiedDate", "SystemModstamp"]


def open_store(path: Path) -> Store:
    return Store(database=Database(path), schema=Schema.standard())


def at(hour: float) -> int:
    return DAY + int(hour * 3600)


def event(hour: float, op: str, *, shown: float | None = None, system: bool = False, **fields: Any) -> Event:
    return Event(at(hour), op, "Account", KEY, fields, None if shown is None else at(shown), system)


def state(store: Store) -> dict[str, Any] | None:
    """The record as queryAll shows it; dates as hours of the day."""
    queries = Queries(store=store)
    found = queries.plan(f"SELECT {', '.join(FIELDS)} FROM Account WHERE Id = '{KEY}'")
    rows = list(queries.rows(store.database.connection(), found, include_deleted=True))
    if not rows:
        return None
    shown = dict(zip(FIELDS, rows[0], strict=True))
    return {name: (value - DAY) / 3600 if name.endswith(("Date", "stamp")) else value for name, value in shown.items()}


def expected(**values: Any) -> dict[str, Any]:
    base = {"Name": None, "Industry": None, "IsPartner": 0, "IsDeleted": 0}
    return {**base, **values}


def dates(created: float, modified: float, modstamp: float) -> dict[str, float]:
    return {"CreatedDate": created, "LastModifiedDate": modified, "SystemModstamp": modstamp}


CASES: dict[str, tuple[list[Event], float, dict[str, Any] | None]] = {
    "nothing before the clock": ([event(2, "insert", Name="A")], 1, None),
    "an event at the clock's very second has happened": (
        [event(2, "insert", Name="A")],
        2,
        expected(Name="A", **dates(2, 2, 2)),
    ),
    "patches apply in at order, not in file order": (
        [event(3, "update", Name="C"), event(1, "insert", Name="A"), event(2, "update", Name="B", Industry="I")],
        4,
        expected(Name="C", Industry="I", **dates(1, 3, 3)),
    ),
    "ties apply in file order": (
        [event(1, "insert"), event(2, "update", Name="A"), event(2, "update", Name="B")],
        4,
        expected(Name="B", **dates(1, 2, 2)),
    ),
    "automation moves SystemModstamp only": (
        [event(1, "insert", Name="A"), event(2, "update", system=True, Name="B")],
        4,
        expected(Name="B", **dates(1, 1, 2)),
    ),
    "an insert by automation sets all dates": ([event(1, "insert", system=True)], 4, expected(**dates(1, 1, 1))),
    "CreatedDate may be given": (
        [event(2, "insert", CreatedDate=at(1))],
        4,
        expected(**dates(1, 2, 2)),
    ),
    "an insert on a record that exists is a patch": (
        [event(1, "insert", Name="A", Industry="I"), event(2, "insert", Name="B", CreatedDate=at(0))],
        4,
        expected(Name="B", Industry="I", **dates(1, 2, 2)),
    ),
    "without an insert there is no record": ([event(1, "update", Name="A")], 4, None),
    "what comes before the insert touches nothing": (
        [event(1, "update", Name="A", Industry="I"), event(1.5, "hide"), event(2, "insert", Name="B")],
        4,
        expected(Name="B", **dates(2, 2, 2)),
    ),
    "delete is soft and moves both dates": (
        [event(1, "insert", Name="A"), event(2, "delete")],
        4,
        expected(Name="A", IsDeleted=1, **dates(1, 2, 2)),
    ),
    "undelete moves both dates": (
        [event(1, "insert", Name="A"), event(2, "delete"), event(3, "undelete")],
        4,
        expected(Name="A", **dates(1, 3, 3)),
    ),
    "purge is for good": ([event(1, "insert"), event(2, "purge"), event(3, "update", Name="A")], 4, None),
    "an insert after a purge starts from scratch": (
        [event(1, "insert", Name="A", Industry="I"), event(2, "purge"), event(3, "insert", Name="B")],
        4,
        expected(Name="B", **dates(3, 3, 3)),
    ),
    "a hidden record is not there": ([event(1, "insert"), event(2, "hide")], 4, None),
    "hide and unhide move no date": (
        [event(1, "insert", Name="A"), event(2, "hide"), event(3, "unhide")],
        4,
        expected(Name="A", **dates(1, 1, 1)),
    ),
    "a late commit does not show yet": (
        [event(1, "insert", Name="A"), event(2, "update", shown=5, Name="B")],
        4,
        expected(Name="A", **dates(1, 1, 1)),
    ),
    "a late commit shows with its old date": (
        [event(1, "insert", Name="A"), event(2, "update", shown=5, Name="B")],
        5,
        expected(Name="B", **dates(1, 2, 2)),
    ),
    "a late commit applies in at order among those that show": (
        [event(1, "insert"), event(2, "update", shown=5, Name="B"), event(3, "update", Name="C")],
        6,
        expected(Name="C", **dates(1, 3, 3)),
    ),
    "a late purge takes what was inserted before it": (
        [event(1, "insert", Name="A"), event(2, "purge", shown=5), event(3, "update", Name="C")],
        6,
        None,
    ),
    "an insert that shows late": (
        [event(1, "insert", shown=5, Name="A"), event(2, "update", Industry="I")],
        4,
        None,
    ),
    "and then with the patches that were there": (
        [event(1, "insert", shown=5, Name="A"), event(2, "update", Industry="I")],
        5,
        expected(Name="A", Industry="I", **dates(1, 2, 2)),
    ),
    "a refresh touches no record": (
        [event(1, "insert", Name="A"), Event(at(2), "refresh", "Account")],
        4,
        expected(Name="A", **dates(1, 1, 1)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_events_add_up(tmp_path: Path, name: str) -> None:
    events, hour, wanted = CASES[name]
    store = open_store(tmp_path / "org.sqlite")
    store.set_clock(at(hour))
    store.add_events(events)
    assert state(store) == wanted, "loaded when the clock had passed"
    store.set_clock(at(0))
    assert state(store) is None
    store.set_clock(at(24))
    store.set_clock(at(hour))
    assert state(store) == wanted, "after the clock went forth and back"


def test_loading_the_same_events_again_changes_nothing_and_a_key_more_is_another_event(tmp_path: Path) -> None:
    store = open_store(tmp_path / "org.sqlite")
    events = [event(1, "insert", Name="A"), event(2, "update", Name="B")]
    assert store.add_events(events) == (2, 2)
    assert store.add_events(events) == (2, 0)
    assert store.add_events([event(2, "update", Name="B", system=True)]) == (1, 1)
    assert store.add_events([event(2, "update", shown=3, Name="B")]) == (1, 1)


def test_a_store_goes_on_from_its_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "org.sqlite")
    store.add_events([event(1, "insert", Name="A"), event(5, "update", Name="B")])
    store.set_clock(at(2))
    again = open_store(tmp_path / "org.sqlite")
    assert again.clock == at(2)
    assert state(again) == expected(Name="A", **dates(1, 1, 1))
    again.set_clock(at(6))
    assert state(again) == expected(Name="B", **dates(1, 5, 5))


def test_events_of_which_one_is_wrong_are_not_loaded_at_all(tmp_path: Path) -> None:
    store = open_store(tmp_path / "org.sqlite")

    def events() -> Any:
        yield event(1, "insert", Name="A")
        raise ValueError("the next line is wrong")

    with pytest.raises(ValueError, match="next line"):
        store.add_events(events())
    store.set_clock(at(2))
    assert state(store) is None
    assert store.add_events([event(1, "insert", Name="A")]) == (1, 1)
    assert state(store) is not None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=st.lists(
        st.builds(
            lambda hour, op, late, system, name: event(
                hour,
                op,
                shown=None if late is None else hour + late,
                system=system and op in ("insert", "update"),
                **({"Name": name} if op in ("insert", "update") else {}),
            ),
            st.integers(0, 20),
            st.sampled_from(["insert", "insert", "update", "delete", "undelete", "purge", "hide", "unhide"]),
            st.none() | st.integers(0, 5),
            st.booleans(),
            st.sampled_from(["A", "B", None]),
        ),
        max_size=12,
    ),
    clocks=st.lists(st.integers(0, 26), min_size=1, max_size=5),
)
def test_whatever_way_the_clock_went_the_state_is_that_of_a_fresh_org(
    tmp_path_factory: pytest.TempPathFactory, history: list[Event], clocks: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("walk")
    walked, fresh = open_store(folder / "walked.sqlite"), open_store(folder / "fresh.sqlite")
    for hour in clocks:
        walked.add_events(history[: len(history) // 2])
        walked.set_clock(at(hour))
    walked.add_events(history)
    fresh.set_clock(at(clocks[-1]))
    fresh.add_events(history)
    assert state(walked) == state(fresh)


def test_a_hundred_thousand_users_load_and_are_read_by_index(tmp_path: Path) -> None:
    count = 100_000
    store = open_store(tmp_path / "org.sqlite")
    lines = (
        json.dumps(
            {
                "at": timestamps.iso(DAY + number % 20_000),
                "op": "insert",
                "object": "User",
                "Id": numbered("005", number),
                "fields": {"Name": f"User {number}"},
            }
        ).encode()
        for number in range(count)
    )
    assert store.add_events(iter_events(lines, source="generated")) == (count, count)
    assert store.set_clock(at(6)) == count - count // 20_000  # those of the first second showed at once
    queries = Queries(store=store)

    def how(soql: str) -> str:
        found = queries.plan(soql)
        source = f'"rec_User" WHERE {found.where} AND hidden = 0 AND f_IsDeleted = 0{found.order}{found.limits}'
        steps = store.database.connection().execute(f"EXPLAIN QUERY PLAN SELECT * FROM {source}", found.parameters)
        return " ".join(row[3] for row in steps)

    for field in ("SystemModstamp", "LastModifiedDate", "CreatedDate"):
        window = f"{field} >= 2026-01-05T01:00:00Z AND {field} < 2026-01-05T02:00:00Z"
        steps = how(f"SELECT Id FROM User WHERE {window} ORDER BY {field}, Id")
        assert "INDEX" in steps
        assert "TEMP B-TREE" not in steps
        assert queries.count(queries.plan(f"SELECT count() FROM User WHERE {window}"), include_deleted=False) == 18_000
    assert "PRIMARY KEY" in how("SELECT Id FROM User WHERE Id > '005000000000100' ORDER BY Id LIMIT 2000")
    assert queries.count(queries.plan("SELECT count() FROM User"), include_deleted=False) == count
