"""Stories of records that go, come back, or only seem to have gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from include.config.object_file import read_object_files
from include.lake.absence import SuspiciousRead
from include.salesforce.window import RunRequest
from local.faults.bench import Bench
from local.faults.story import Stage, Story, by_both
from local.faults.world import EVENING, MIDNIGHT, NOON, SIX, iso, user

_USERS = 300
_SIX_HOURS = timedelta(hours=6)


def stories() -> list[Story]:
    """All of them, by REST and by Bulk."""
    told = (
        ("most users hidden, then a full refresh", _too_many_gone),
        ("a few users hidden, then shown again", _hidden_and_shown),
        ("a user purged, found a week later by the refresh that is due", _due),
        ("a full refresh that ends before a newer run", _late_refresh),
        ("accounts soft-deleted and undeleted", _undeleted),
    )
    return by_both(told)


def _too_many_gone(stage: Stage) -> None:
    stage.happens(_inserts())
    struck, calm = stage.bench("struck"), stage.bench("calm")
    for lake in (struck, calm):
        _at(stage, SIX)
        lake.run(scheduled(SIX))
    hidden = [user(number) for number in range(100)]
    stage.happens(_each("hide", hidden, SIX + timedelta(hours=1)))
    stage.happens(_each("unhide", hidden, NOON + timedelta(hours=1)))
    _at(stage, NOON)
    before = struck.lake()
    stage.refused(SuspiciousRead, lambda: struck.run(refresh(NOON)), says="100 of 300 records (33.3 %)")
    stage.compare(struck.lake(), before)
    _at(stage, EVENING)
    for lake in (struck, calm):
        lake.run(refresh(EVENING))
    stage.compare(struck.lake(), calm.lake())
    stage.equal(_changes(struck), [(user(number), "upsert", SIX) for number in range(_USERS)], what="log")


def _hidden_and_shown(stage: Stage) -> None:
    stage.happens(_inserts())
    hidden = [user(number) for number in range(5)]
    stage.happens(_each("hide", hidden, SIX + timedelta(hours=1)))
    stage.happens(_each("unhide", hidden, NOON + timedelta(hours=1)))
    lake = stage.bench()
    for end, request in ((SIX, scheduled(SIX)), (NOON, refresh(NOON)), (EVENING, refresh(EVENING))):
        _at(stage, end)
        lake.run(request)
    expected = [(user(number), "upsert", SIX) for number in range(_USERS)]
    expected += [(one, "delete", NOON) for one in hidden] + [(one, "upsert", EVENING) for one in hidden]
    stage.equal(_changes(lake), expected, what="log")
    stage.expect(not any(gone for *_, gone in lake.lake().mirror.values()), "a user that came back is still deleted")


def _due(stage: Stage) -> None:
    stage.happens(_inserts())
    stage.happens(_each("purge", [user(7)], SIX + timedelta(hours=1)))
    lake = stage.bench()
    week = SIX + timedelta(days=7)
    for end in (SIX, NOON, week):
        _at(stage, end)
        lake.run(scheduled(end))
    expected = [(user(number), "upsert", SIX) for number in range(_USERS)] + [(user(7), "delete", week)]
    stage.equal(_changes(lake), expected, what="log")


def _late_refresh(stage: Stage) -> None:
    """What a full refresh of an older span does not find may have been created since: nothing is deleted."""
    stage.happens(_inserts())
    stage.happens(_each("purge", [user(7)], NOON + timedelta(hours=1)))
    lake = stage.bench()
    for end in (SIX, EVENING):
        _at(stage, end)
        lake.run(scheduled(end))
    _, told = stage.listen(lambda: lake.run(refresh(NOON)))
    stage.see(next((line for line in told.lines if "not taken as deleted" in line), "nobody said a word"))
    stage.expect("not taken as deleted" in stage.saw, "nobody said that nothing is taken as deleted")
    stage.equal(_changes(lake), [(user(number), "upsert", SIX) for number in range(_USERS)], what="log")


def _undeleted(stage: Stage) -> None:
    accounts = [f"001{number:012d}AAA" for number in range(30)]
    insert = {"op": "insert", "object": "Account", "fields": {"Name": "Acme", "OwnerId": user(1)}}
    stage.happens({**insert, "at": iso(MIDNIGHT), "Id": one} for one in accounts)
    stage.happens(_each("delete", accounts[:3], SIX + timedelta(hours=1), sobject="Account"))
    stage.happens(_each("undelete", accounts[:2], NOON + timedelta(hours=1), sobject="Account"))
    lake = stage.bench(object_file=read_object_files()["account"])
    for end in (SIX, NOON, EVENING):
        _at(stage, end)
        lake.run(scheduled(end))
    found = [(one, end, gone) for one, _, end, gone in lake.log(("isdeleted",))]
    expected = [(one, SIX, False) for one in accounts]
    expected += [(one, NOON, True) for one in accounts[:3]] + [(one, EVENING, False) for one in accounts[:2]]
    stage.equal(found, expected, what="log")


def scheduled(end: datetime) -> RunRequest:
    """The scheduled run of the six hours before a moment.

    :param end: end of its interval.
    """
    return RunRequest(kind="scheduled", run_after=end, logical_date=end, interval=(end - _SIX_HOURS, end))


def refresh(end: datetime) -> RunRequest:
    """A full refresh that somebody asked for.

    :param end: end of its window.
    """
    return RunRequest(kind="manual", run_after=end, logical_date=end, full_refresh=True)


def _changes(lake: Bench) -> list[tuple[Any, ...]]:
    return [row[:3] for row in lake.log(())]


def _at(stage: Stage, moment: datetime) -> None:
    stage.org.set_clock(moment)


def _inserts() -> Iterator[dict[str, Any]]:
    for number in range(_USERS):
        at = iso(MIDNIGHT + timedelta(seconds=40 * number))
        fields = {"Name": f"User {number}", "Division": "North"}
        yield {"at": at, "op": "insert", "object": "User", "Id": user(number), "fields": fields}


def _each(op: str, ids: list[str], at: datetime, *, sobject: str = "User") -> Iterator[dict[str, Any]]:
    for one in ids:
        yield {"at": iso(at), "op": op, "object": sobject, "Id": one}
