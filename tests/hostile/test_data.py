"""Hostile records through the real org, steps and dbt, by REST and by Bulk: value for value what went in."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dbt.contracts.graph.manifest import Manifest
from pyiceberg.transforms import BucketTransform
from pyiceberg.types import StringType

from include.config.object_file import read_object_files
from include.salesforce import job_book
from include.staging.manifest import Api
from local.org.faults import QUERY, RESULTS, Fault, Replace
from local.org.handle import OrgHandle, start_org
from local.org.ids import to_18
from tests.hostile.conftest import Tried
from tests.hostile.lakes import WholeLake, happens, wide_users, widen
from tests.hostile.vocabulary import TEXTS
from tests.oracle.org_model import read_scenario
from tests.oracle.replay import replay
from tests.oracle.shapes import ACCOUNT, USER
from tests.parsed_project import parse_project

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)
SIX, NOON, EVENING = (MIDNIGHT + timedelta(hours=hours) for hours in (6, 12, 18))
LONGEST = 131_072
LONG_TEXTS = ("x" * LONGEST, "é" * LONGEST, "東" * LONGEST, "😀" * LONGEST, "\"'\n," * (LONGEST // 4), "\\" * LONGEST)
APIS: tuple[Api, ...] = ("rest", "bulk")
FURTHER = ("long__c", "day__c", "moment__c", "money__c", "ratio__c", "share__c", "whole__c", "flag__c", "mentor__c")
FURTHER += ("mail__c", "multi__c")

#: Of which hypothesis-like random texts are made.
ALPHABET = "'\"\\,;%_{}[]()<>|&$#@!~`^*=+-\n\r\t\x00\x1a\ufeff\u2028\u202e\u0301 naNvV0éß東😀\U0010ffff\ue000"


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The dbt project, parsed once."""
    return parse_project(tmp_path_factory)


@pytest.fixture
def org(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OrgHandle]:
    """An org without records."""
    monkeypatch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    with start_org(tmp_path / "org") as started:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(started.ca_bundle))
        yield started


def twins(prefix: str, short: str) -> list[str]:
    """Ids that differ from each other only in the case of a letter or two."""
    found = {prefix + short}
    places = [place for place, letter in enumerate(short) if letter.isalpha()]
    for chosen in itertools.chain(itertools.combinations(places, 1), itertools.combinations(places, 2)):
        found.add(prefix + "".join(one.upper() if at in chosen else one for at, one in enumerate(short)))
    return sorted(to_18(one) for one in found)


def random_text(chance: random.Random, longest: int) -> str:
    """A text of metacharacters, of any characters, or of both."""
    letters = [
        chance.choice(ALPHABET) if chance.random() < 0.7 else chr(chance.choice((chance.randrange(1, 0xD800), 0x1F600)))
        for _ in range(chance.randrange(1, longest))
    ]
    return "".join(letters)


def user_events(ids: list[str]) -> list[dict[str, Any]]:
    """Every text in every field of some user, over three windows; what Salesforce would take for empty is left out."""
    chance = random.Random(20260105)
    values = [*TEXTS, "\x00", "a\x00b", "'\x00'", *(random_text(chance, 60) for _ in range(160))]
    days = ("0001-01-01", "9999-12-31", "1582-10-10", "1969-12-31", "2024-02-29", None)
    moments = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", "1900-01-01T00:00:00Z", None)
    numbers = (0, -0.0, 0.1, 1e-300, 9.2e18, -123456789012.34, 9007199254740993, None)
    events: list[dict[str, Any]] = []

    def fields(number: int) -> dict[str, Any]:
        text = [values[(number + shift) % len(values)] for shift in range(5)]
        return {
            "Division": text[1],
            "Audit_Phase__c": text[2],
            "Long__c": LONG_TEXTS[number % len(LONG_TEXTS)] if number < 24 else text[3],
            "Day__c": days[number % len(days)],
            "Moment__c": moments[number % len(moments)],
            "Money__c": numbers[number % len(numbers)],
            "Ratio__c": numbers[(number + 1) % len(numbers)],
            "Share__c": numbers[(number + 2) % len(numbers)],
            "Whole__c": (0, -(2**31) + 1, 2**31 - 1, None)[number % 4],
            "Flag__c": number % 2 == 0,
            "Mentor__c": ids[number % len(ids)][: 15 if number % 3 else 18],
            "Mail__c": text[4][:80],
            "Multi__c": text[3],
        }

    for number, of in enumerate(ids):
        at = MIDNIGHT + timedelta(minutes=30, seconds=number // 3)
        name = values[number % len(values)]
        insert = {"Name": name, **fields(number), "IsActive": number % 2 == 0}
        if number % 5 == 0:
            insert["CreatedDate"] = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1700-01-01T00:00:00Z")[number % 3]
        events.append(event(at, "insert", of, insert))
        if number % 2:
            events.append(event(at + timedelta(hours=6), "update", of, fields(number + 7)))
        if number % 3 == 0:
            events.append(event(at + timedelta(hours=12), "update", of, {"Division": values[-number % len(values)]}))
    events += [event(NOON + timedelta(hours=1), "purge", of, None) for of in ids[::29]]
    events.append({"at": iso(NOON + timedelta(hours=2)), "op": "refresh", "object": "User"})
    return events


def event(at: datetime, op: str, of: str, fields: dict[str, Any] | None, of_object: str = "User") -> dict[str, Any]:
    found = {"at": iso(at), "op": op, "object": of_object, "Id": of}
    return found if fields is None else {**found, "fields": fields}


def iso(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat() + "Z"


def lived(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Id → the last value that each field was given."""
    found: dict[str, dict[str, Any]] = {}
    for one in sorted((one for one in events if "fields" in one), key=lambda one: one["at"]):
        found.setdefault(one["Id"], {}).update(one["fields"])
    return found


def raw(field: str, value: Any) -> Any:
    """A scenario's value as the mirror is to hold it."""
    if value in (None, "") or isinstance(value, bool):
        return None if value == "" else value
    if field == "Day__c":
        return date.fromisoformat(value)
    if field == "Moment__c":
        return datetime.fromisoformat(value)
    if field == "Mentor__c":
        return to_18(value)
    return float(value) if field in {"Money__c", "Ratio__c", "Share__c"} else value


@pytest.mark.parametrize("api", APIS)
def test_hostile_users(
    api: Api, org: OrgHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed: Manifest, tried: Tried
) -> None:
    ids = [*twins("005", "abcdefghijkl"), *(to_18(f"005{number:012d}") for number in range(160))]
    events = user_events(ids)
    widen(org)
    happens(org, tmp_path / "users.jsonl", events)
    monkeypatch.setenv("SF_HISTORY_LAKE", str(tmp_path / "lake"))
    lake = WholeLake(org, tmp_path / "lake", parsed, api=api, object_file=wide_users())
    for end in (SIX, NOON):
        lake.run(end)
        lake.build()
    lake.run(EVENING, full_refresh=True)
    lake.build()

    oracle = replay(USER, read_scenario([json.dumps(one) for one in events]))
    compared = lake.assert_is(oracle, USER)
    assert compared > 1000
    mirror, values = lake.mirror(), lived(events)
    assert set(mirror) == set(ids)
    for of, expected in values.items():
        for field in expected:
            if field.lower() in FURTHER:
                is_ = mirror[of][field.lower()]
                should = raw(field, expected[field])
                assert (None if is_ == "" else is_) == should, f"{of}.{field}: {is_!r:.80} is not {should!r:.80}"
                assert type(is_) is type(should) or should is None
                compared += 1
    tried(f"values ({api})", sum(len(one.get("fields", ())) for one in events))


def test_rest_and_bulk_leave_the_same_lake(org: OrgHandle, tmp_path: Path, parsed: Manifest, tried: Tried) -> None:
    ids = [to_18(f"005{number:012d}") for number in range(250)]
    events = user_events(ids)
    widen(org)
    happens(org, tmp_path / "users.jsonl", events)
    lakes = [WholeLake(org, tmp_path / api, parsed, api=api, object_file=wide_users()) for api in APIS]
    for lake in lakes:
        lake.run(SIX)
    rest, bulk = (lake.mirror() for lake in lakes)
    assert rest.keys() == bulk.keys() == set(ids)
    for of, row in rest.items():
        for column, value in row.items():
            if column not in {"_extracted_at", "_extraction_run_id"}:
                assert (value or None) == (bulk[of][column] or None), f"{of}.{column}"
    tried("values (rest against bulk)", sum(len(one.get("fields", ())) for one in events))


@pytest.mark.parametrize("api", APIS)
def test_accounts_whose_ids_differ_only_in_case(
    api: Api, org: OrgHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed: Manifest, tried: Tried
) -> None:
    ids = twins("001", "qwertzuiopas")
    owners = twins("005", "yxcvbnmlkjhg")
    events = []
    for number, of in enumerate(ids):
        at = MIDNIGHT + timedelta(hours=1, seconds=number)
        events.append(event(at, "insert", of, {"Name": of, "OwnerId": owners[number], "Rating": of}, "Account"))
        # The owner's next is its twin: a change of case is a change.
        change = {"OwnerId": owners[(number + 1) % len(owners)][: 15 if number % 2 else 18], "Rating": of.swapcase()}
        events.append(event(at + timedelta(hours=6), "update", of, change, "Account"))
    events += [event(NOON - timedelta(minutes=1), "delete", of, None, "Account") for of in ids[::4]]
    happens(org, tmp_path / "accounts.jsonl", events)
    monkeypatch.setenv("SF_HISTORY_LAKE", str(tmp_path / "lake"))
    account = read_object_files()["account"].model_copy(update={"batch_size": 200})
    lake = WholeLake(org, tmp_path / "lake", parsed, api=api, object_file=account)
    for end in (SIX, NOON):
        lake.run(end)
        lake.build()
    lake.assert_is(replay(ACCOUNT, read_scenario([json.dumps(one) for one in events])), ACCOUNT)
    versions = lake.dimension()
    assert {row["account_id"] for row in versions} == set(ids)
    assert len({row["account_key"] for row in versions}) == len(versions)
    buckets = BucketTransform(8).transform(StringType())
    assert len({buckets(of) for of in ids}) == 8, "they are spread over every bucket of the dimension"
    tried("ids", len(ids) + len(owners))


def shortened(api: Api, ids: list[str]) -> Fault:
    """The org answers with the first 15 characters of these ids."""
    return struck(api, {of: of[:15] for of in ids})


def struck(api: Api, texts: dict[str, str]) -> Fault:
    return Fault(do=Replace(texts=texts), path=QUERY if api == "rest" else RESULTS, lacks="COUNT()", times=None)


@pytest.mark.parametrize("api", APIS)
def test_ids_of_15_characters_are_those_of_18(
    api: Api, org: OrgHandle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed: Manifest, tried: Tried
) -> None:
    ids, owners = twins("001", "abcdefghijkl"), twins("005", "abcdefghijkl")
    events = [
        event(MIDNIGHT + timedelta(hours=1), "insert", of, {"Name": "x", "OwnerId": owner}, "Account")
        for of, owner in zip(ids, owners, strict=True)
    ]
    events += [event(NOON - timedelta(hours=1), "update", of, {"Rating": "Hot"}, "Account") for of in ids[::2]]
    happens(org, tmp_path / "accounts.jsonl", events)
    monkeypatch.setenv("SF_HISTORY_LAKE", str(tmp_path / "lake"))
    account = read_object_files()["account"].model_copy(update={"batch_size": 200})
    lake = WholeLake(org, tmp_path / "lake", parsed, api=api, object_file=account)
    org.set_faults([shortened(api, [*ids[::3], *owners[::2]])])
    lake.run(SIX)
    org.set_faults([shortened(api, [*ids[1::3], *owners[1::2]])])
    lake.run(NOON)
    lake.run(EVENING, full_refresh=True)
    assert all(org.faults_struck())
    lake.build()
    lake.assert_is(replay(ACCOUNT, read_scenario([json.dumps(one) for one in events])), ACCOUNT)
    tried("ids", len(ids) + len(owners))


@pytest.mark.parametrize("api", APIS)
def test_what_salesforce_never_sends_arrives_mended_or_is_rejected_by_name(
    api: Api, org: OrgHandle, tmp_path: Path, parsed: Manifest, tried: Tried
) -> None:
    ids = [to_18(f"005{number:012d}") for number in range(200)]
    marks = [f"MARK{number:03d}" for number in range(200)]
    happens(
        org,
        tmp_path / "users.jsonl",
        (
            event(MIDNIGHT + timedelta(hours=1), "insert", of, {"Name": "x", "Division": mark})
            for of, mark in zip(ids, marks, strict=True)
        ),
    )
    escaped = api == "rest"
    sent: dict[str, tuple[str, str]] = {
        marks[0]: ("\\ud800" if escaped else "\xed\xa0\x80", "\ufffd" if escaped else "\ufffd" * 3),
        marks[1]: ("a\\udfffb" if escaped else "a\xed\xbf\xbfb", "a\ufffdb" if escaped else "a\ufffd\ufffd\ufffdb"),
        marks[2]: ("\\ude00\\ud83d" if escaped else "\xff", "\ufffd\ufffd" if escaped else "\ufffd"),
        marks[3]: ("\\ud83d\\ude00" if escaped else "\xf0\x9f\x98\x80", "😀"),
        marks[4]: ("\\u0000" if escaped else "\x00", "\x00"),
        marks[5]: ("nul\\u0000inside" if escaped else "nul\x00inside", "nul\x00inside"),
    }
    rejected = {ids[10]: "00500000000001 AAA", ids[11]: "005'; drop table-", ids[12]: "0050000000"}
    texts = {mark: put for mark, (put, _) in sent.items()} | rejected
    org.set_faults([struck(api, texts)])
    lake = WholeLake(org, tmp_path / "lake", parsed, api=api, object_file=wide_users_less())
    lake.run(SIX)
    mirror = lake.mirror()
    assert {mark: mirror[of]["division"] for of, mark in zip(ids, marks, strict=True) if mark in sent} == {
        mark: expected for mark, (_, expected) in sent.items()
    }
    assert set(mirror) == set(ids) - set(rejected)
    quarantined = lake.rows(lake.bench.flow.tables.quarantine)
    assert {row["id"] for row in quarantined} == set(rejected.values())
    assert all("Id is malformed" in row["reasons"] for row in quarantined)
    tried("values that Salesforce never sends", len(texts))


def wide_users_less() -> Any:
    """Users, in small batches, some of whom may be rejected."""
    return read_object_files()["user"].model_copy(update={"batch_size": 200})


@pytest.mark.parametrize("api", APIS)
def test_moments_at_the_ends_of_time(
    api: Api,
    org: OrgHandle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parsed: Manifest,
    tried: Tried,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """LastModifiedDate and SystemModstamp, which Salesforce itself sets, in the years 1 and 9999."""
    first, last, ahead, calm = (to_18(f"005{number:012d}") for number in range(4))
    at = {of: MIDNIGHT + timedelta(hours=1, seconds=number) for number, of in enumerate((first, last, ahead, calm))}
    events = [event(at[of], "insert", of, {"Name": "x", "Division": "North"}) for of in at]
    later = [event(at[of] + timedelta(hours=6), "update", of, {"Division": "West"}) for of in (first, last)]
    happens(org, tmp_path / "users.jsonl", events + later)
    monkeypatch.setenv("SF_HISTORY_LAKE", str(tmp_path / "lake"))
    lake = WholeLake(org, tmp_path / "lake", parsed, api=api, object_file=wide_users_less())

    def written(moment: datetime) -> str:
        return iso(moment).removesuffix("Z") + (".000+0000" if api == "rest" else ".000Z")

    begin, end = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    if api == "rest":
        last_modified = {f'"LastModifiedDate": "{written(at[last])}"': f'"LastModifiedDate": "{written(end)}"'}
        compact = {key.replace(": ", ":"): value.replace(": ", ":") for key, value in last_modified.items()}
        texts = {**last_modified, **compact}
    else:
        # A job's columns come in an order drawn by lot; here in the plan's: LastModifiedDate, then SystemModstamp.
        monkeypatch.setattr(job_book.random.SystemRandom, "sample", lambda _, names, __: list(names))
        texts = {f'"{written(at[last])}","{written(at[last])}"': f'"{written(end)}","{written(at[last])}"'}
    texts |= {written(at[first]): written(begin), written(at[ahead]): written(end)}
    org.set_faults([struck(api, texts)])
    with caplog.at_level("WARNING", logger="include"):
        lake.run(SIX)
    lake.build()
    found = {row["user_id"]: row for row in lake.dimension()}
    assert set(found) == {first, last, calm}, "what is ahead of every window is not logged, until a window gets there"
    assert found[first]["effective_from"] == begin.replace(tzinfo=None)
    assert found[last]["effective_from"] == end.replace(tzinfo=None)
    assert f"1 record(s) have a SystemModstamp more than a day after this run's end, {ahead} for example" in caplog.text

    org.clear_faults()
    lake.run(NOON)
    lake.run(EVENING, full_refresh=True)
    lake.build()
    versions = sorted(lake.dimension(), key=lambda row: (row["user_id"], row["effective_from"]))
    shown = [(row["user_id"], row["division"], row["effective_from"], row["is_deleted"]) for row in versions]
    moved = {of: (at[of] + timedelta(hours=6)).replace(tzinfo=None) for of in at}
    assert shown == [
        (first, "North", begin.replace(tzinfo=None), False),
        (first, "West", moved[first], False),
        (last, "North", end.replace(tzinfo=None), False),
        (last, "West", end.replace(tzinfo=None) + timedelta(microseconds=1), False),
        (ahead, "North", at[ahead].replace(tzinfo=None), False),
        (calm, "North", at[calm].replace(tzinfo=None), False),
    ]
    tried("moments at the ends of time", 4)
