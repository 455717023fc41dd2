"""The org's schema changes under the pipeline: each change is told once; what cannot be read stops before a read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from include.config.object_file import ObjectFile, read_object_files
from include.lake.schema_growth import IncompatibleColumn
from include.salesforce.errors import FieldMissing, UnexpectedSchema
from include.salesforce.window import RunRequest
from local.faults.bench import RUNS, Bench, Told, numbered_run
from local.faults.story import Stage, Story, by_both
from local.faults.world import MIDNIGHT, NOON, SIX, user
from local.org.faults import QUERY, Answer, Fault

_USERS = 12
_LATER = NOON + timedelta(hours=3)
_OWN = ("_extracted_at", "_extraction_run_id", "_row_hash")


def stories() -> list[Story]:
    """All of them; by REST and by Bulk where what is read differs."""
    twice: list[tuple[str, Callable[[Stage], None]]] = [
        ("a field is hidden that may be missing", _hidden),
        ("a tracked field is hidden, then granted", _hidden_tracked),
        ("a field is added to the object file", _added_to_file),
        ("a picklist value that nobody listed", _unlisted_value),
        ("a text field becomes a number", partial(_incompatible, before="string", after="double", value="seven")),
    ]
    once: list[tuple[str, Callable[[Stage], None]]] = [
        ("new fields in the org", _new_in_org),
        ("a field that the org never showed", _never_shown),
        ("a tracked field is renamed", _renamed),
        ("types are widened", _widened),
        ("a number becomes text", partial(_incompatible, before="double", after="string", value=7.5)),
        (
            "a moment becomes a date",
            partial(_incompatible, before="datetime", after="date", value="2026-01-05T03:04:05Z"),
        ),
        ("a whole number gets decimals", partial(_incompatible, before="int", after="double", value=7)),
        ("a compound field in the object file", _compound),
        ("a base64 field in the object file", _base64),
        ("two fields that differ only in case", _twins),
    ]
    return [
        *by_both(twice),
        *(Story(fault=fault, play=play) for fault, play in once),
    ]


def _new_in_org(stage: Stage) -> None:
    _users(stage)
    bench = stage.bench()
    stage.expect(not _run(stage, bench, 1).lines, "the first look told something")
    for name, kind in (("Shoe_Size__c", "double"), ("Team__c", "picklist")):
        stage.org.change_schema("add", "User", {"name": name, "type": kind})
    _changes(stage, 0)
    _told_once(stage, _run(stage, bench, 2), says="Shoe_Size__c (double), Team__c (picklist)")
    stage.expect(not _run(stage, bench, 3).lines, "the new fields were told twice")
    stage.compare(bench.lake(), _calm(stage).lake())


def _hidden(stage: Stage) -> None:
    _users(stage)
    bench = stage.bench()
    _run(stage, bench, 1)
    stage.org.change_schema("hide", "User", {"name": "IsActive"})
    _changes(stage, 0, IsActive=False)
    _told_once(stage, _run(stage, bench, 2), says="User.IsActive (boolean) is no longer shown by the org")
    active = {key: row["isactive"] for key, row in _mirror(bench).items()}
    stage.equal(
        active.items(), [(user(number), None if number < 4 else True) for number in range(_USERS)], what="isactive"
    )
    stage.expect(not _run(stage, bench, _scheduled(_LATER)).lines, "the hidden field was told twice")
    stage.org.change_schema("show", "User", {"name": "IsActive"})
    _told_once(stage, _run(stage, bench, 3), says="User.IsActive is shown by the org again")
    _same_mirror(stage, bench, _calm(stage))


def _never_shown(stage: Stage) -> None:
    file = _listing("Seats__c")
    _users(stage)
    bench = stage.bench(object_file=file)
    _told_once(stage, _run(stage, bench, 1), says="the org does not show it")
    stage.expect(not _run(stage, bench, 2).lines, "the missing field was told twice")
    stage.org.change_schema("add", "User", {"name": "Seats__c", "type": "double"})
    stage.happens([_event(NOON + timedelta(hours=1), "update", 1, Seats__c=3.5)])
    _told_once(stage, _run(stage, bench, 3), says="User.Seats__c is shown by the org now")
    _same_mirror(stage, bench, _calm(stage, file))


def _hidden_tracked(stage: Stage) -> None:
    _users(stage)
    bench = stage.bench()
    _run(stage, bench, 1)
    stage.org.change_schema("hide", "User", {"name": "Division"})
    _changes(stage, 0)
    for _ in range(2):
        _refused(stage, FieldMissing, bench, 2, says="User.Division (tracked) is not in the org's describe")
    stage.org.change_schema("show", "User", {"name": "Division"})
    _told_once(stage, _run(stage, bench, 2), says="nothing is missing")
    stage.compare(bench.lake(), _calm(stage, runs=(1, 2)).lake())


def _renamed(stage: Stage) -> None:
    _users(stage)
    bench = stage.bench()
    _run(stage, bench, 1)
    stage.org.change_schema("remove", "User", {"name": "Audit_Phase__c"})
    stage.org.change_schema("add", "User", {"name": "Audit_Stage__c", "type": "picklist", "length": 40})
    stage.happens(
        _event(SIX + timedelta(hours=1), "update", number, Audit_Stage__c="Complete") for number in range(_USERS)
    )
    for _ in range(2):
        _refused(stage, FieldMissing, bench, 2, says="Audit_Stage__c appeared at the same time with the same type")
    plain = _plain()
    corrected = ObjectFile.model_validate(
        plain.model_dump()
        | {
            "fields": [name.replace("Phase", "Stage") for name in plain.fields],
            "tracked": ["Division", "Audit_Stage__c"],
            "accepted_values": {},
        }
    )
    bench = stage.bench(object_file=corrected)
    _run(stage, bench, 2)
    stage.equal(
        [(row["id"], row["audit_phase__c"], row["audit_stage__c"]) for row in _mirror(bench).values()],
        [(user(number), None, "Complete") for number in range(_USERS)],
        what="old and new field",
    )


def _added_to_file(stage: Stage) -> None:
    file = _listing("Title")
    _users(stage)
    _run(stage, stage.bench(), 1)
    _changes(stage, 0)
    bench = stage.bench(object_file=file)
    told = _run(stage, bench, 2)
    _told_once(stage, told, says="User.Title: new in user.yml.")
    stage.expect("due from 2026-01-12 06:00 UTC" in stage.saw, f"nobody said when: {told.lines}")
    stage.expect("Param full_refresh" in stage.saw, f"nobody said how: {told.lines}")
    stage.equal(
        [(row["id"], row["title"]) for row in _mirror(bench).values()],
        [(user(number), f"Title {number}" if number < 4 else None) for number in range(_USERS)],
        what="titles before the full refresh",
    )
    stage.expect(not _run(stage, bench, 3).lines, "the new field was told twice")
    _same_mirror(stage, bench, _calm(stage, file))


def _widened(stage: Stage) -> None:
    _users(stage)
    bench = stage.bench()
    _run(stage, bench, 1)
    stage.org.change_schema("alter", "User", {"name": "Division", "type": "textarea", "length": 32_000})
    stage.org.change_schema("alter", "User", {"name": "Audit_Phase__c", "type": "string", "length": 255})
    _changes(stage, 0, Audit_Phase__c="Complete")
    told = _run(stage, bench, 2)
    stage.see(told.lines[0])
    stage.equal(
        told.lines,
        [
            f"User.{name} was of type {before} and is of type {now} now: its column stays string, and nothing is lost."
            for name, before, now in (("Division", "string", "textarea"), ("Audit_Phase__c", "picklist", "string"))
        ],
        what="warnings",
    )
    stage.expect(not _run(stage, bench, 3).lines, "the types were told twice")
    stage.compare(bench.lake(), _calm(stage).lake())


def _incompatible(stage: Stage, *, before: str, after: str, value: Any) -> None:
    stage.org.change_schema("add", "User", {"name": "Level__c", "type": before, "length": 20})
    file = _listing("Level__c")
    _users(stage, Level__c=value)
    bench = stage.bench(object_file=file)
    _run(stage, bench, 1)
    held = bench.lake()
    stage.org.change_schema("alter", "User", {"name": "Level__c", "type": after})
    _changes(stage, 0)
    stage.org.set_faults(
        [Fault(do=Answer(status=503, message="asked although it must not be"), path=QUERY, times=None)]
    )
    for _ in range(2):
        _refused(stage, IncompatibleColumn, bench, 2, says="sf_raw.sf_user: column level__c is")
    stage.org.clear_faults()
    stage.expect(bench.lake() == held, "something was written")
    stage.org.change_schema("alter", "User", {"name": "Level__c", "type": before})
    _run(stage, bench, 2)
    stage.compare(bench.lake(), _calm(stage, file, runs=(1, 2)).lake())


def _unlisted_value(stage: Stage) -> None:
    _users(stage)
    _changes(stage, 0, Division="Atlantis")
    bench = stage.bench()
    _run(stage, bench, 1)
    _told_once(stage, _run(stage, bench, 2), says="Atlantis")
    stage.equal(
        [row["division"] for row in _mirror(bench).values() if row["division"] == "Atlantis"],
        ["Atlantis"] * 4,
        what="values that nobody listed",
    )
    _run(stage, bench, 3)
    stage.compare(bench.lake(), _calm(stage).lake())


def _compound(stage: Stage) -> None:
    _users(stage, City="Oslo")
    says = "User.Address is of type address"
    _refused(stage, UnexpectedSchema, stage.bench(object_file=_listing("Address")), 1, says=says)
    _refused(stage, UnexpectedSchema, stage.bench(object_file=_listing("Address")), 1, says="Street, City")
    _corrected(stage, _listing("City"))


def _base64(stage: Stage) -> None:
    stage.org.change_schema("add", "User", {"name": "Badge__c", "type": "base64"})
    _users(stage, City="Oslo")
    says = "User.Badge__c is of type base64"
    _refused(stage, UnexpectedSchema, stage.bench(object_file=_listing("Badge__c")), 1, says=says)
    _corrected(stage, _listing("City"))


def _corrected(stage: Stage, file: ObjectFile) -> None:
    bench = stage.bench(object_file=file)
    stage.expect(not _run(stage, bench, 1).lines, "the corrected file was not enough")
    stage.equal(
        [(row["id"], row["city"]) for row in _mirror(bench).values()],
        [(user(number), "Oslo") for number in range(_USERS)],
        what="what was listed instead",
    )


def _twins(stage: Stage) -> None:
    _users(stage)
    bench = stage.bench()
    _run(stage, bench, 1)
    stage.org.change_schema("add", "User", {"name": "DIVISION", "type": "string"})
    _changes(stage, 0)
    _refused(stage, UnexpectedSchema, bench, 2, says="User.Division and User.DIVISION differ only in case")
    stage.org.change_schema("remove", "User", {"name": "DIVISION"})
    stage.expect(not _run(stage, bench, 2).lines, "something was told")
    stage.compare(bench.lake(), _calm(stage, runs=(1, 2)).lake())


# ---------------------------------------------------------------------------------------------------- what they share


def _plain() -> ObjectFile:
    return read_object_files()["user"]


def _listing(*names: str) -> ObjectFile:
    """User's object file with more fields."""
    plain = _plain()
    return ObjectFile.model_validate(plain.model_dump() | {"fields": [*plain.fields, *names]})


def _users(stage: Stage, **fields: Any) -> None:
    stage.happens(
        _event(
            MIDNIGHT + timedelta(minutes=number),
            "insert",
            number,
            **{
                "Name": f"User {number}",
                "Division": "North",
                "Audit_Phase__c": "Phase1",
                "IsActive": True,
                "Title": f"Title {number}",
                **fields,
            },
        )
        for number in range(_USERS)
    )


def _changes(stage: Stage, first: int, **fields: Any) -> None:
    """Four users change between six and noon."""
    stage.happens(
        _event(SIX + timedelta(hours=1), "update", number, **{"Division": "South", **fields})
        for number in range(first, first + 4)
    )


def _event(at: datetime, op: str, number: int, **fields: Any) -> dict[str, Any]:
    moment = at.isoformat().replace("+00:00", "Z")
    return {"at": moment, "op": op, "object": "User", "Id": user(number), "fields": fields}


def _scheduled(end: datetime) -> RunRequest:
    return RunRequest(kind="scheduled", run_after=end, logical_date=end, interval=(end - timedelta(hours=6), end))


def _run(stage: Stage, bench: Bench, run: int | RunRequest) -> Told:
    """A run at its time; what it warns of."""
    request = numbered_run(run) if isinstance(run, int) else run
    stage.org.set_clock(request.run_after)
    _, told = stage.listen(lambda: bench.run(request))
    return told


def _refused(stage: Stage, error: type[Exception], bench: Bench, number: int, *, says: str) -> None:
    stage.org.set_clock(RUNS[number])
    stage.refused(error, lambda: bench.run(numbered_run(number)), says=says)


def _told_once(stage: Stage, told: Told, *, says: str) -> None:
    """One warning, which says this; the user sees it."""
    stage.see(next(iter(told.lines), ""))
    stage.expect(
        [says in line for line in told.lines] == [True], f"expected one warning with {says!r}, got {told.lines}"
    )


def _calm(stage: Stage, file: ObjectFile | None = None, *, runs: Iterable[int] = RUNS) -> Bench:
    """What the same runs leave in a lake of their own, over the org as it is now."""
    bench = Bench(stage.org, stage.folder / "calm", api="rest", object_file=file)
    for number in runs:
        _run(stage, bench, number)
    return bench


def _mirror(bench: Bench) -> dict[str, dict[str, Any]]:
    rows: Iterator[dict[str, Any]] = iter(
        bench.flow.catalog.load_table(bench.flow.tables.mirror).scan().to_arrow().to_pylist()
    )
    return {row["id"]: {name: value for name, value in row.items() if name not in _OWN} for row in rows}


def _same_mirror(stage: Stage, bench: Bench, oracle: Bench) -> None:
    """The logs differ: rows read meanwhile did not observe the field."""
    found, expected = ([tuple(sorted(row.items())) for row in _mirror(one).values()] for one in (bench, oracle))
    stage.equal(found, expected, what="the mirror")
