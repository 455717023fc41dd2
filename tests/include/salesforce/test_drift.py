"""What has changed in an org's fields is told once, in words that say what it means for this object file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.config.object_file import ObjectFile, read_object_files
from include.salesforce.describe import FieldDescription, ObjectDescription
from include.salesforce.drift import Memory, backfill_notice, drift, memory_after, successors

USER = read_object_files()["user"]
DAYS = [datetime(2026, 1, 5, tzinfo=UTC) + timedelta(days=days) for days in range(4)]
#: User as the object file needs it, and two fields that it does not list.
PLAIN = {
    "Id": "id",
    "Name": "string",
    "Division": "string",
    "Audit_Phase__c": "picklist",
    "LastModifiedDate": "datetime",
    "SystemModstamp": "datetime",
    "IsActive": "boolean",
    "CreatedDate": "datetime",
    "Fax": "phone",
    "Title": "string",
}


def shown(fields: dict[str, str]) -> ObjectDescription:
    return ObjectDescription(
        name="User",
        fields=tuple(
            FieldDescription(name=name, type=kind, nillable=True, filterable=True, picklist=(), compound=None)
            for name, kind in fields.items()
        ),
    )


def look(before: Memory, fields: dict[str, str], day: int, file: ObjectFile = USER) -> dict[str, Any]:
    return memory_after(before, description=shown(fields), object_file=file, at=DAYS[day])


def without(*names: str, **added: str) -> dict[str, str]:
    return {name: kind for name, kind in PLAIN.items() if name not in names} | added


def told(*looks: dict[str, str], file: ObjectFile = USER) -> list[tuple[str, ...]]:
    """The sentences after each look, beginning with the second."""
    memory, sentences = look({}, looks[0], 0, file), []
    for day, fields in enumerate(looks[1:], start=1):
        after = look(memory, fields, day, file)
        sentences.append(drift(object_file=file, before=memory, after=after))
        memory = after
    return sentences


def listing(*names: str) -> ObjectFile:
    return ObjectFile.model_validate(USER.model_dump() | {"fields": [*USER.fields, *names]})


def test_the_first_look_finds_no_changes() -> None:
    memory = look({}, PLAIN, 0)
    assert drift(object_file=USER, before={}, after=memory) == ()
    assert {known.state for known in memory.values()} == {"there"}
    assert {known.first_seen for known in memory.values()} == {None}


def test_a_look_that_finds_the_same_remembers_the_same() -> None:
    memory = look({}, PLAIN, 0)
    assert look(memory, PLAIN, 1) == memory


def test_fields_that_are_new_in_the_org_are_one_sentence_told_once() -> None:
    more = without(Shoe_Size__c="double", Team__c="picklist")
    first, again = told(PLAIN, more, more)
    assert first == (
        "User has fields that it did not have before: Shoe_Size__c (double), Team__c (picklist). user.yml does not "
        "list them, so they are not read. List those whose history is to be kept.",
    )
    assert again == ()


def test_a_flood_of_new_fields_is_cut() -> None:
    ((sentence,),) = told(PLAIN, without(**{f"Field_{number}__c": "string" for number in range(25)}))
    assert "Field_19__c (string) and 5 more" in sentence
    assert "Field_20__c" not in sentence


def test_a_field_that_may_be_missing_is_told_when_it_goes_and_when_it_comes_back() -> None:
    gone = without("IsActive")
    vanished, silent, back = told(PLAIN, gone, gone, PLAIN)
    assert len(vanished) == len(back) == 1
    assert vanished[0].startswith("User.IsActive (boolean) is no longer shown by the org: deleted, renamed, or hidden")
    assert "Permission Sets > Object Settings > User > Field Permissions" in vanished[0]
    assert silent == ()
    assert back[0].startswith("User.IsActive is shown by the org again, and read from this run on.")


@pytest.mark.parametrize(("name", "role"), [("Division", "tracked"), ("Name", "required")])
def test_a_field_that_must_be_there_is_left_to_its_error_and_told_when_it_comes_back(name: str, role: str) -> None:
    vanished, back = told(PLAIN, without(name), PLAIN)
    assert vanished == ()
    assert back == (
        f"User.{name} is shown by the org again ({role}): runs go on from the watermark, and nothing is missing.",
    )


def test_a_listed_field_that_the_org_never_showed_is_told_at_the_first_look_too() -> None:
    file = listing("Seats__c")
    memory = look({}, PLAIN, 0, file)
    (sentence,) = drift(object_file=file, before={}, after=memory)
    assert sentence.startswith("User.Seats__c is listed in user.yml, but the org does not show it. Grant")
    silent, there = told(PLAIN, PLAIN, without(Seats__c="double"), file=file)
    assert silent == ()
    assert there[0].startswith("User.Seats__c is shown by the org now, and read from this run on.")


def test_a_field_that_was_gone_before_it_was_listed_is_told_when_it_is_listed() -> None:
    memory = look(look({}, PLAIN, 0), without("Fax"), 1)
    file = listing("Fax")
    after = look(memory, without("Fax"), 2, file)
    (sentence,) = drift(object_file=file, before=memory, after=after, newly_listed=["Fax"])
    assert sentence.startswith("User.Fax is listed in user.yml, but the org does not show it.")
    assert drift(object_file=file, before=after, after=after) == ()


def test_isdeleted_is_not_missed() -> None:
    assert "IsDeleted" in USER.fields
    assert "isdeleted" not in look({}, PLAIN, 0)


def test_a_rename_is_recognised_by_time_and_type_and_remembered() -> None:
    memory = look({}, PLAIN, 0)
    renamed = look(memory, without("Audit_Phase__c", Audit_Stage__c="picklist", Level__c="double"), 1)
    assert successors(renamed, "audit_phase__c") == ("Audit_Stage__c",)
    later = look(renamed, without("Audit_Phase__c", Audit_Stage__c="picklist", Other__c="picklist"), 2)
    assert successors(later, "Audit_Phase__c") == ("Audit_Stage__c",)
    assert successors(later, "Division") == successors(later, "Unheard__c") == ()


def test_a_probable_new_name_is_told_with_what_vanished() -> None:
    ((_, vanished),) = told(PLAIN, without("IsActive", Enabled__c="boolean"))
    assert vanished.endswith("IsActive was probably renamed: Enabled__c appeared at the same time with the same type.")
    ((_, unlisted),) = told(PLAIN, without("Fax", Telefax__c="phone"))
    assert unlisted == (
        "User no longer shows Fax (phone). user.yml does not list it: nothing changes here. "
        "Fax was probably renamed: Telefax__c appeared at the same time with the same type."
    )


def test_a_name_that_changes_case_is_the_same_field() -> None:
    assert told(PLAIN, without("Fax", FAX="phone")) == [()]


@pytest.mark.parametrize(
    ("now", "meaning"),
    [
        ("textarea", "its column stays string, and nothing is lost."),
        ("double", "it would be kept as double instead of string."),
        ("address", "it has no single value any more."),
    ],
)
def test_a_type_that_changed_is_told_with_what_it_means(now: str, meaning: str) -> None:
    changed = without(Division=now)
    first, again = told(PLAIN, changed, changed)
    assert first == (f"User.Division was of type string and is of type {now} now: {meaning}",)
    assert again == ()


def test_a_type_of_a_field_that_nobody_reads_is_only_remembered() -> None:
    assert told(PLAIN, without(Fax="string")) == [()]
    assert look(look({}, PLAIN, 0), without(Fax="string"), 1)["fax"].salesforce_type == "string"


def test_the_backfill_is_promised_with_its_date_and_the_way_to_have_it_now() -> None:
    notice = backfill_notice(USER, ["Title", "Fax"], last_full_refresh=DAYS[0])
    assert notice == (
        "User.Title, User.Fax: new in user.yml. Records that do not change meanwhile have it unknown (null) until the "
        "next full refresh, due from 2026-01-12 00:00 UTC; a run with the Param full_refresh fills it now."
    )
    assert "the next scheduled run" in backfill_notice(USER, ["Title"], last_full_refresh=None)
