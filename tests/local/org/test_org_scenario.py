"""Scenario files: what is refused, with which words, and the runs of a replay."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.org.event import Event
from local.org.scenario import MAX_REPORTED, ScenarioError, load_scenario, six_hour_runs

USER = "005000000000001"
USER_18 = "005000000000001AAA"
ACCOUNT = "001000000000001AAA"


def line(**changes: Any) -> str:
    event = {"at": "2026-01-05T07:12:00Z", "op": "update", "object": "User", "Id": USER, "fields": {"Name": "A"}}
    return json.dumps({key: value for key, value in {**event, **changes}.items() if value is not ...})


def write(tmp_path: Path, *lines: str | bytes) -> Path:
    path = tmp_path / "scenario.jsonl"
    path.write_bytes(b"\n".join(text if isinstance(text, bytes) else text.encode() for text in lines) + b"\n")
    return path


REFUSED: list[tuple[str | bytes, list[str]]] = [
    ("{", ["not JSON", "column"]),
    ("[1]", ["list", "not an object"]),
    (b'{"at": "\xff"}', ["UTF-8"]),
    ('{"at": NaN}', ["NaN", "finite"]),
    ('{"at": "a", "at": "b"}', ["'at'", "twice"]),
    ('{"fields": {"Name": "a", "Name": "b"}}', ["'Name'", "twice"]),
    ("[" * 100_000, ["nested"]),
    (line(at=...), ["'at'", "missing", "'op'", "'object'"]),
    (line(op=...), ["'op'", "missing"]),
    (line(object=...), ["'object'", "missing"]),
    (line(when="x"), ["'when'", "unknown", "visible_at"]),
    (line(id=USER), ["'id'", "unknown", "Id"]),
    (line(op="merge"), ["op", "'merge'", "insert, update, delete, undelete, purge, hide, unhide, refresh"]),
    (line(op=3), ["op", "3", "string"]),
    (line(object="Lead"), ["object", "'Lead'", "User, Account"]),
    (line(object="user"), ["object", "'user'", "User, Account"]),
    (line(at="2026-01-05"), ["at", "'2026-01-05'", "zone"]),
    (line(at="2026-01-05T07:12:00"), ["at", "zone", "2026-01-05T06:00:00Z"]),
    (line(at="2026-02-30T07:12:00Z"), ["at", "exists", "day is out of range"]),
    (line(at=1767571200), ["at", "1767571200", "zone"]),
    (line(at="2026-01-05T07:12:00.5Z"), ["at", "whole seconds"]),
    (line(at="0001-01-01T00:00:00+05:00"), ["at", "0001 to 9999"]),
    (line(at="2026-01-05T07:12:00+99:00"), ["at", "zone"]),
    (line(visible_at="later"), ["visible_at", "'later'"]),
    (line(visible_at="2026-01-05T07:11:59Z"), ["visible_at", "before at", "2026-01-05T07:12:00Z"]),
    (line(Id=...), ["'Id'", "missing"]),
    (line(Id="003000000000001"), ["Id", "005", "15 or 18"]),
    (line(Id="00500000000000"), ["Id", "15 or 18"]),
    (line(Id="0050000000000-1"), ["Id", "15 or 18"]),
    (line(Id=ACCOUNT), ["Id", "005"]),
    (line(Id=5), ["Id", "5", "string"]),
    (line(op="delete", fields=...), ["'delete'", "deactivated", "IsActive", "purge"]),
    (line(op="undelete", fields=...), ["'undelete'", "deactivated"]),
    (line(op="purge"), ["fields", "purge takes none", "insert and update"]),
    (line(op="hide"), ["fields", "hide takes none"]),
    (line(op="hide", fields=..., system=True), ["system", "hide", "insert and update"]),
    (line(op="refresh", fields=...), ["Id", "refresh"]),
    (line(op="refresh", Id=..., fields=..., visible_at="2026-01-06T00:00:00Z"), ["visible_at", "refresh"]),
    (line(op="refresh", Id=...), ["fields", "refresh takes none"]),
    (line(system="yes"), ["system", "'yes'", "true or false"]),
    (line(fields=[1]), ["fields", "an object"]),
    (line(fields={"Divison": "West"}), ["fields.Divison", "no such field", "describe"]),
    (line(fields={"division": "West"}), ["fields.division", "did you mean Division?"]),
    (line(fields={"IsDeleted": True}), ["fields.IsDeleted", "set by the org"]),
    (line(fields={"SystemModstamp": "2026-01-05T00:00:00Z"}), ["fields.SystemModstamp", "set by the org"]),
    (line(fields={"LastModifiedDate": "2026-01-05T00:00:00Z"}), ["fields.LastModifiedDate", "set by the org"]),
    (line(fields={"Id": USER}), ["fields.Id", "set by the org"]),
    (line(fields={"CreatedDate": "2026-01-05T00:00:00Z"}), ["fields.CreatedDate", "insert only"]),
    (line(op="insert", fields={"CreatedDate": None}), ["fields.CreatedDate", "never null"]),
    (line(fields={"Address": {}}), ["fields.Address", "compound", "Street"]),
    (line(fields={"IsActive": "true"}), ["fields.IsActive", "'true'", "true and false"]),
    (line(fields={"Name": 3}), ["fields.Name", "3", "string or null"]),
    (line(fields={"Name": True}), ["fields.Name", "True", "string or null"]),
    (line(fields={"Division": "x" * 81}), ["fields.Division", "81", "80"]),
    (line(fields={"Name": "\ud800"}), ["fields.Name", "surrogate"]),
    (line(fields={"NumberOfFailedLogins": 1.5}), ["fields.NumberOfFailedLogins", "1.5", "whole number"]),
    (line(fields={"NumberOfFailedLogins": 2**40}), ["fields.NumberOfFailedLogins", "too large"]),
    (line(fields={"Latitude": "1"}), ["fields.Latitude", "number"]),
    (line(fields={"LastLoginDate": "yesterday"}), ["fields.LastLoginDate", "'yesterday'", "zone"]),
    (line(fields={"ManagerId": "nobody"}), ["fields.ManagerId", "'nobody'", "15 or 18"]),
    (
        line(object="Account", Id=ACCOUNT, fields={"LastActivityDate": "2026-01-40"}),
        ["fields.LastActivityDate", "day"],
    ),
]


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_a_wrong_line_is_refused_with_its_number_the_key_and_what_is_allowed(
    tmp_path: Path, text: str | bytes, words: list[str]
) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(tmp_path, "# a comment", "", line(), text))
    (problem,) = caught.value.problems
    assert problem.startswith("line 4: ")
    for word in words:
        assert word in problem
    assert "scenario.jsonl" in str(caught.value)


def test_all_wrong_lines_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(tmp_path, line(op="x"), line(), line(Id="y"), line(at="z")))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["line 1", "line 3", "line 4"]


def test_no_more_than_twenty_wrong_lines_are_reported(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(write(tmp_path, *[line(op="x")] * 50))
    assert len(caught.value.problems) == MAX_REPORTED


def test_two_wrong_keys_of_a_line_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"line 1: at: .*; op: 'x' is unknown"):
        load_scenario(write(tmp_path, line(op="x", at="y")))


def test_what_is_allowed_is_read_exactly(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "﻿# saved by an editor that writes a byte order mark",
        line(op="insert", fields={"Name": None, "IsActive": None, "CreatedDate": "2025-01-01T02:00:00+02:00"}),
        "   ",
        line(Id=USER_18, fields={"Division": "Süd 🚀\n\"'\u2028\x00", "Title": ""}, system=True),
        line(op="hide", fields=..., visible_at="2026-01-05T09:00:00Z"),
        line(op="purge", fields={}, system=False),
        line(op="update", object="Account", Id=ACCOUNT, fields={"OwnerId": USER, "AnnualRevenue": 1.5}),
        line(op="refresh", Id=..., fields=..., object="Account"),
    )
    scenario = load_scenario(path)
    at = int(datetime(2026, 1, 5, 7, 12, tzinfo=UTC).timestamp())
    created = int(datetime(2025, 1, 1, tzinfo=UTC).timestamp())
    assert scenario.events == (
        Event(at, "insert", "User", USER_18, {"Name": None, "IsActive": False, "CreatedDate": created}),
        Event(at, "update", "User", USER_18, {"Division": "Süd 🚀\n\"'\u2028\x00", "Title": None}, system=True),
        Event(at, "hide", "User", USER_18, visible_at=at + 6480),
        Event(at, "purge", "User", USER_18),
        Event(at, "update", "Account", ACCOUNT, {"OwnerId": USER_18, "AnnualRevenue": 1.5}),
        Event(at, "refresh", "Account"),
    )
    assert [event.line for event in scenario.events] == [2, 4, 5, 6, 7, 8]
    assert scenario.objects == ("User", "Account")
    assert scenario.first_at == scenario.last_at == datetime(2026, 1, 5, 7, 12, tzinfo=UTC)
    assert [event.object for event in scenario.refreshes] == ["Account"]


def test_runs_go_from_the_interval_of_the_first_event_to_that_of_the_last(tmp_path: Path) -> None:
    scenario = load_scenario(
        write(
            tmp_path,
            line(at="2026-01-06T00:00:00Z", visible_at="2026-01-09T00:00:00Z"),
            line(at="2026-01-05T11:59:59Z"),
            line(at="2026-01-05T18:00:00Z", op="refresh", Id=..., fields=...),
            line(at="2026-01-05T23:59:59Z", op="refresh", Id=..., fields=..., object="Account"),
        )
    )
    found = [(f"{run.start:%d %H}", f"{run.end:%d %H}", sorted(run.full_refresh)) for run in six_hour_runs(scenario)]
    assert found == [
        ("05 06", "05 12", []),
        ("05 12", "05 18", []),
        ("05 18", "06 00", ["Account", "User"]),
        ("06 00", "06 06", []),
    ]


def test_a_scenario_without_events_has_no_runs(tmp_path: Path) -> None:
    scenario = load_scenario(write(tmp_path, "# nothing yet"))
    assert six_hour_runs(scenario) == []
    assert scenario.first_at is None
