"""The oracle against histories worked out by hand from DESIGN.md, "What the history means"."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.oracle import rules
from tests.oracle.compare import differences
from tests.oracle.history_model import dimension, scd_id
from tests.oracle.org_model import Org, WrongLine, full_id, read_scenario
from tests.oracle.reads import Batch, Lake, Refused, Window, read, validate
from tests.oracle.replay import intervals, replay
from tests.oracle.shapes import ACCOUNT, USER, Row, Shape

ANN, BOB = full_id("0055e0000000001"), full_id("0055e0000000002")
ACME = full_id("0015e0000000001")


def day(text: str) -> datetime:
    """`5 06:00` is six o'clock on the fifth of January."""
    number, clock = text.split()
    return datetime.fromisoformat(f"2026-01-{int(number):02d} {clock}").replace(tzinfo=UTC)


def user(at: str, system: str | None = None, **values: Any) -> Row:
    """Ann as she is read; last modified at `at`, touched by automation at `system`."""
    row: Row = {"id": ANN, "name": "Ann", "division": "North", "audit_phase__c": None, "isactive": True}
    dates: Row = {"lastmodifieddate": day(at), "systemmodstamp": day(system or at), "createddate": day("1 00:00")}
    return {**row, **dates, "isdeleted": False, **values}


def account(at: str, **values: Any) -> Row:
    """Acme as it is read."""
    row: Row = {"id": ACME, "name": "Acme", "ownerid": ANN, "industry": None, "rating": "Hot"}
    dates: Row = dict.fromkeys(("lastmodifieddate", "systemmodstamp", "createddate"), day(at))
    return {**row, **dates, "isdeleted": False, **values}


class Story:
    """A lake, told batch by batch."""

    def __init__(self, shape: Shape = USER) -> None:
        self.lake = Lake(shape)
        self._attempts = 0

    def seen(self, end: str, *rows: Row, refresh: bool = False, unread: str = "", present: tuple[str, ...] = ()) -> int:
        """A run whose window ends then sees these rows; returns how many were logged."""
        self._attempts += 1
        return self.lake.deliver(
            Batch(
                run_id=f"run {self._attempts}",
                extracted_at=day(end) + timedelta(seconds=self._attempts),
                window=Window(
                    start=None if refresh else day(end) - timedelta(hours=7), end=day(end), full_refresh=refresh
                ),
                rows=rows,
                present=present,
                unread=frozenset(unread.split()),
            )
        )

    def versions(self, *columns: str) -> list[tuple[Any, ...]]:
        """The dimension: the columns asked for, then start and end as texts."""
        return [
            (*(row[name] for name in columns), told(row["effective_from"]), told(row["effective_to"]))
            for row in dimension(self.lake.log)
        ]


def told(moment: Any) -> str | None:
    """A moment in January as `5 06:00:00`."""
    return (
        None if moment is None else f"{moment.day} {moment:%H:%M:%S}" + (f".{moment:%f}" if moment.microsecond else "")
    )


def org_after(clock: str, *lines: dict[str, Any], shape: Shape = USER) -> dict[str, Row]:
    """What is seen at a clock after these events; object and Id are Ann's unless given."""
    record = ANN if shape is USER else ACME
    texts = [json.dumps({"object": shape.object, "Id": record, **line}) for line in lines]
    return Org(shape, read_scenario(texts)).seen_at(day(clock))


def event(at: str, op: str, **keys: Any) -> dict[str, Any]:
    return {"at": f"{day(at):%Y-%m-%dT%H:%M:%SZ}", "op": op, **keys}


BORN = event("5 01:00", "insert", fields={"Name": "Ann"})


def test_a_to_b_to_a_is_three_versions() -> None:
    story = Story()
    story.seen("5 06:00", user("5 01:00"), refresh=True)
    story.seen("5 12:00", user("5 07:00", division="South"))
    story.seen("5 18:00", user("5 13:00"))
    assert story.versions("division", "is_current") == [
        ("North", False, "5 01:00:00", "5 07:00:00"),
        ("South", False, "5 07:00:00", "5 13:00:00"),
        ("North", True, "5 13:00:00", None),
    ]


def test_null_to_a_and_back_are_changes_and_empty_is_null() -> None:
    story = Story()
    story.seen("5 06:00", user("5 01:00"), refresh=True)
    story.seen("5 12:00", user("5 07:00", audit_phase__c=""))
    story.seen("5 18:00", user("5 13:00", audit_phase__c="Phase1"))
    story.seen("6 00:00", user("5 19:00", audit_phase__c=""))
    assert story.versions("audit_phase__c") == [
        (None, "5 01:00:00", "5 13:00:00"),
        ("Phase1", "5 13:00:00", "5 19:00:00"),
        (None, "5 19:00:00", None),
    ]


def test_type_1_opens_no_version_and_leaves_update_date() -> None:
    story = Story()
    story.seen("5 06:00", user("5 01:00"), refresh=True)
    story.seen("5 12:00", user("5 07:00", name="Anna", isactive=False))
    assert story.versions("name", "is_active", "update_date") == [
        ("Anna", False, day("5 01:00"), "5 01:00:00", None),
    ]


def test_a_run_again_logs_nothing_but_a_return_is_logged() -> None:
    story = Story()
    assert story.seen("5 06:00", user("5 01:00"), refresh=True) == 1
    assert story.seen("5 06:00", user("5 01:00"), refresh=True) == 0
    assert story.seen("5 12:00", refresh=True) == 1
    assert story.seen("5 18:00", user("5 01:00"), refresh=True) == 1
    assert story.versions("is_deleted", "update_date") == [
        (False, day("5 01:00"), "5 01:00:00", "5 12:00:00"),
        (True, day("5 12:00"), "5 12:00:00", "5 18:00:00"),
        (False, day("5 01:00"), "5 18:00:00", None),
    ]


def test_automation_starts_a_version_at_its_system_modstamp() -> None:
    story = Story()
    story.seen("5 06:00", user("5 01:00"), refresh=True)
    story.seen("5 12:00", user("5 01:00", "5 08:10", division="South"))
    assert story.versions("division", "update_date")[1] == ("South", day("5 01:00"), "5 08:10:00", None)


def test_the_microsecond_when_nothing_else_is_later() -> None:
    story = Story()
    story.seen("5 06:00", user("5 01:00"), refresh=True)
    story.seen("5 12:00", refresh=True)
    story.seen("5 18:00", user("5 01:00"), refresh=True)  # starts at the window's end
    story.seen("5 18:00", user("5 01:00", "5 02:00", division="South"))
    assert story.versions("division")[2:] == [
        ("North", "5 18:00:00", "5 18:00:00.000001"),
        ("South", "5 18:00:00.000001", None),
    ]


def test_batches_in_any_order_give_the_same_versions() -> None:
    batches = [
        ("5 06:00", user("5 01:00")),
        ("5 12:00", user("5 07:00", division="South")),
        ("5 18:00", user("5 13:00")),
    ]
    there, back = Story(), Story()
    for end, row in batches:
        there.seen(end, row)
    for end, row in reversed(batches):
        back.seen(end, row)
    assert there.versions("division") == back.versions("division")
    assert back.lake.log.mirror()[ANN]["lastmodifieddate"] == day("5 13:00")


def test_unknown_is_not_null() -> None:
    story = Story()
    story.seen("5 06:00", user("5 01:00"), refresh=True, unread="audit_phase__c")
    story.seen("5 12:00", user("5 07:00", audit_phase__c="Phase1"))
    story.seen("5 18:00", user("5 13:00"), unread="audit_phase__c")
    story.seen("6 00:00", user("5 19:00"))
    assert story.versions("audit_phase__c") == [
        ("Phase1", "5 01:00:00", "5 19:00:00"),
        (None, "5 19:00:00", None),
    ]


def test_a_soft_delete_and_an_undelete_are_versions_and_absence_adds_none() -> None:
    story = Story(ACCOUNT)
    story.seen("5 06:00", account("5 01:00"), refresh=True)
    story.seen("5 12:00", account("5 07:00", isdeleted=True))
    story.seen("5 18:00", account("5 13:00"))
    story.seen("6 00:00", account("5 19:00", isdeleted=True))
    assert story.seen("6 06:00", refresh=True) == 0
    assert [row[0] for row in story.versions("is_deleted")] == [False, True, False, True]


def test_rows_after_the_window_and_rejected_ones_are_present_but_not_observed() -> None:
    story = Story()
    story.seen("5 06:00", user("5 01:00"), {**user("5 01:00"), "id": BOB}, refresh=True)
    assert story.seen("5 12:00", user("5 12:00", division="South"), refresh=True, present=(BOB,)) == 0
    assert len(story.versions()) == 2


def test_an_older_refresh_and_an_increment_delete_nothing() -> None:
    story = Story()
    story.seen("5 12:00", user("5 01:00"), refresh=True)
    assert story.seen("5 06:00", refresh=True) == 0
    assert story.seen("5 18:00") == 0


@pytest.mark.parametrize(("known", "gone", "refused"), [(400, 99, False), (400, 100, True), (500, 100, False)])
def test_the_volume_guard(known: int, gone: int, *, refused: bool) -> None:
    story = Story()
    rows = [{**user("5 01:00"), "id": full_id(f"0055e{number:010d}")} for number in range(known)]
    story.seen("5 06:00", *rows, refresh=True)
    if refused:
        with pytest.raises(Refused):
            story.seen("5 12:00", *rows[gone:], refresh=True)
        assert story.lake.watermark == day("5 06:00")
    else:
        assert story.seen("5 12:00", *rows[gone:], refresh=True) == gone


def test_the_watermark_skips_nothing_and_never_goes_back() -> None:
    story = Story()
    story.seen("5 06:00", refresh=True)
    story.seen("5 18:00")  # starts at 11:00: there is a gap
    assert story.lake.watermark == day("5 06:00")
    story.seen("5 12:00")
    story.seen("5 06:00")
    assert story.lake.watermark == day("5 12:00")


def test_a_refresh_is_due_after_a_week_or_while_the_lake_is_empty() -> None:
    story = Story()
    story.seen("5 06:00", refresh=True)
    assert story.lake.window_until(day("5 12:00")).full_refresh
    story.seen("5 06:00", user("5 01:00"), refresh=True)
    assert story.lake.window_until(day("5 12:00")) == Window(start=day("5 05:00"), end=day("5 12:00"))
    assert not story.lake.window_until(day("12 00:00")).full_refresh
    assert story.lake.window_until(day("12 06:00")).full_refresh


def test_windows_are_half_open_by_system_modstamp() -> None:
    window = Window(start=day("5 05:00"), end=day("5 12:00"))
    rows = [user("1 00:00", at) for at in ("5 04:59", "5 05:00", "5 11:59", "5 12:00")]
    assert read(rows, window) == rows[1:3]
    assert read(rows, Window(start=None, end=day("5 12:00"), full_refresh=True)) == rows


def test_records_without_a_name_are_rejected_up_to_five_percent() -> None:
    rows = [user("5 01:00") for _ in range(19)]
    assert validate([*rows, user("5 01:00", name=None)]) == (rows, [ANN])
    with pytest.raises(Refused):
        validate([*rows[:18], user("5 01:00", name="")])


def test_the_org_begins_a_record_with_its_insert() -> None:
    (ann,) = org_after("5 02:00", event("5 00:30", "update", fields={"Division": "South"}), BORN).values()
    assert (ann["division"], ann["isactive"], ann["createddate"]) == (None, True, day("5 01:00"))
    assert org_after("5 00:59", BORN) == {}
    assert org_after("5 03:00", BORN, event("5 02:00", "purge")) == {}


def test_automation_and_hiding_move_the_dates_they_should() -> None:
    automation = event("5 02:00", "update", system=True, fields={"Division": "East"})
    away = [event("5 03:00", "hide"), event("5 04:00", "unhide")]
    assert org_after("5 03:30", BORN, automation, *away) == {}
    (ann,) = org_after("5 05:00", BORN, automation, *away).values()
    assert (ann["lastmodifieddate"], ann["systemmodstamp"]) == (day("5 01:00"), day("5 02:00"))


def test_a_late_commit_shows_late_and_applies_where_it_belongs() -> None:
    late = event("5 02:00", "update", visible_at="2026-01-05T07:00:00Z", fields={"Division": "East"})
    after = event("5 03:00", "update", fields={"Audit_Phase__c": "Phase1"})
    assert org_after("5 06:00", BORN, after, late)[ANN]["division"] is None
    (ann,) = org_after("5 07:00", BORN, after, late).values()
    assert (ann["division"], ann["systemmodstamp"]) == ("East", day("5 03:00"))


def test_soft_deletes_move_both_dates_and_are_seen() -> None:
    (acme,) = org_after("5 03:00", BORN, event("5 02:00", "delete"), shape=ACCOUNT).values()
    assert (acme["isdeleted"], acme["lastmodifieddate"], acme["systemmodstamp"]) == (True, *[day("5 02:00")] * 2)
    with pytest.raises(WrongLine, match="line 1"):
        org_after("5 03:00", event("5 02:00", "delete"))


def test_ids_and_keys() -> None:
    assert full_id("001A0000006Vm9u") == "001A0000006Vm9uIAC"
    name = scd_id("0055e0000000001AAA", day("5 01:00"))
    assert name == "729710e0ebc2870da2ce4a1f4415f969"


def test_intervals_of_a_replay_and_its_rows() -> None:
    lines = [BORN, event("5 13:00", "update", fields={"Division": "East"}), event("5 18:00", "refresh")]
    events = read_scenario(
        json.dumps({"object": "User", **line} | ({} if line["op"] == "refresh" else {"Id": ANN})) for line in lines
    )
    assert [told(end) for _, end in intervals(events)] == ["5 06:00:00", "5 12:00:00", "5 18:00:00", "6 00:00:00"]
    lake = replay(USER, events)
    assert lake.last_refresh == day("6 00:00")
    assert [row["division"] for row in dimension(lake.log)] == [None, "East"]
    assert rules.count(lake.log)["null→A"] == 1


def test_a_difference_is_told_with_both_timelines() -> None:
    story = Story()
    story.seen("5 06:00", user("5 01:00"), refresh=True)
    rows = dimension(story.lake.log)
    assert differences(USER, [{**rows[0], "_dbt_updated_at": day("9 00:00")}], rows) == []
    (text,) = differences(USER, [{**rows[0], "division": "South"}], rows)
    assert "division='South'" in text.split("should be:")[0]
    assert "division='North'" in text.split("should be:")[1]
    assert "no versions" in differences(USER, [], rows)[0]
