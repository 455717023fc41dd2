"""Stories of the quarantine, and of lakes that a run must not touch: another org's, another release's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from include.config.object_file import ObjectFile, read_object_files
from include.lake.layout import CURRENT, LAYOUT_VERSION, LayoutTooNew
from include.lake.watermark import ForeignOrg
from include.quality.listing import Listing, list_quarantine
from local.faults.bench import RUNS, Bench, numbered_run
from local.faults.story import Stage, Story, by_both
from local.faults.trial import trusting
from local.faults.world import MIDNIGHT, NOON, SIX, user
from local.org.handle import start_org

_USERS = 30
_NAMELESS = (3, 17, 29)


def stories() -> list[Story]:
    """All of them."""
    return [
        *by_both([("a record refused, the rules relaxed, replayed", _relaxed_and_replayed)]),
        Story(fault="the quarantine is replayed twice", play=_replayed_twice),
        Story(fault="refused at first, mended in Salesforce", play=_mended_in_salesforce),
        Story(fault="the lake is another org's", play=_lake_of_another_org),
        Story(fault="a table has the layout of a later release", play=_later_layout),
    ]


def _strict() -> ObjectFile:
    """User's object file, which refuses users without a name; the gate stays open."""
    return read_object_files()["user"].model_copy(update={"max_error_percent": 100.0, "batch_size": 10})


def _relaxed() -> ObjectFile:
    return _strict().model_copy(update={"required": ("Id",)})


def _some_without_a_name(stage: Stage) -> None:
    """Thirty users by six o'clock; by noon all have moved, and three have lost their name."""
    stage.happens(_event(MIDNIGHT, "insert", number, Name=f"User {number}") for number in range(_USERS))
    stage.happens(
        _event(SIX, "update", number, Division="West", **({"Name": ""} if number in _NAMELESS else {}))
        for number in range(_USERS)
    )


def _event(begin: datetime, op: str, number: int, **fields: Any) -> Mapping[str, Any]:
    at = begin + timedelta(minutes=5, seconds=number)
    first = {"Division": "North"} if op == "insert" else {}
    return {
        "at": at.isoformat().replace("+00:00", "Z"),
        "op": op,
        "object": "User",
        "Id": user(number),
        "fields": first | fields,
    }


def _run(stage: Stage, bench: Bench, *numbers: int) -> None:
    for number in numbers:
        stage.org.set_clock(RUNS[number])
        bench.run(numbered_run(number))


def _calm(stage: Stage, *numbers: int) -> Bench:
    """What runs leave whose rules were from the first what they are in the end."""
    calm = stage.bench("calm", object_file=_relaxed())
    _run(stage, calm, *numbers)
    return calm


def _listing(bench: Bench) -> Listing:
    flow = bench.flow
    return list_quarantine(catalog=flow.catalog, object_file=flow.object_file, environment=flow.environment)


def _relaxed_and_replayed(stage: Stage) -> None:
    _some_without_a_name(stage)
    strict = stage.bench(object_file=_strict())
    _run(stage, strict, 1, 2)
    stage.equal(
        ((entry.identity, entry.state, entry.reasons) for entry in _listing(strict).entries),
        ((user(number), "open", "Name is missing") for number in _NAMELESS),
        what="the quarantine under the old rules",
    )
    relaxed = stage.bench(object_file=_relaxed())
    told = relaxed.flow.replay_quarantine()
    stage.see(f"{told.replayed} records replayed, {told.logged} observations logged")
    stage.expect((told.replayed, told.logged, told.refused) == (3, 3, 0), f"the replay says {told}")
    _run(stage, relaxed, 3)
    _agree(stage, relaxed, _calm(stage, 1, 2, 3))
    stage.equal(_listing(relaxed).states.items(), [("replayed", 3)], what="the quarantine afterwards")


def _replayed_twice(stage: Stage) -> None:
    _some_without_a_name(stage)
    _run(stage, stage.bench(object_file=_strict()), 1, 2)
    relaxed = stage.bench(object_file=_relaxed())
    relaxed.flow.replay_quarantine()
    before = list(_metadata(relaxed))
    told = relaxed.flow.replay_quarantine()
    stage.see(f"{told.replayed} records replayed, {told.logged} observations logged")
    stage.expect(told.replayed == told.logged == 0, f"the second replay says {told}")
    stage.equal(_metadata(relaxed), before, what="tables that a second replay has left as they were")
    _agree(stage, relaxed, _calm(stage, 1, 2))


def _mended_in_salesforce(stage: Stage) -> None:
    _some_without_a_name(stage)
    strict = stage.bench(object_file=_strict())
    _run(stage, strict, 1, 2)
    stage.happens(_event(NOON, "update", number, Name=f"User {number}") for number in _NAMELESS)
    _run(stage, strict, 3)
    entries = _listing(strict).entries
    stage.see(entries[0].note if entries else "the quarantine is empty")
    stage.equal(
        ((entry.identity, entry.state, entry.note) for entry in entries),
        ((user(number), "open", "mended in Salesforce: a newer state is in") for number in _NAMELESS),
        what="the quarantine after the mending",
    )
    stage.expect(strict.flow.replay_quarantine().replayed == 0, "the old rules replayed something")
    mirror = strict.lake().mirror
    stage.equal(mirror.values(), [("West", None, False)] * _USERS, what="the mirror, mended users included")
    relaxed = stage.bench(object_file=_relaxed())
    stage.expect(relaxed.flow.replay_quarantine().logged == 3, "what had been refused is not in the log")
    _agree(stage, relaxed, _calm(stage, 1, 2, 3))


def _lake_of_another_org(stage: Stage) -> None:
    _some_without_a_name(stage)
    bench = stage.bench(object_file=_relaxed())
    _run(stage, bench, 1)
    before = list(_metadata(bench))
    with start_org(stage.folder / "sandbox") as sandbox:
        sandbox.set_clock(RUNS[2])
        with trusting(sandbox):
            stranger = Bench(sandbox, stage.folder / "lake", api=stage.api, object_file=_relaxed())
            stage.refused(ForeignOrg, lambda: stranger.run(numbered_run(2)), says=sandbox.org_id)
        stage.expect(sandbox.org_id != stage.org.org_id, "both orgs have the same id")
    stage.expect(stage.org.org_id in stage.saw, "the message does not name the lake's own org")
    stage.equal(_metadata(bench), before, what="tables that the refused run has left as they were")
    _run(stage, bench, 2)
    _agree(stage, bench, _calm(stage, 1, 2))


def _later_layout(stage: Stage) -> None:
    _some_without_a_name(stage)
    bench = stage.bench(object_file=_relaxed())
    _run(stage, bench, 1)
    tables = bench.flow.tables
    for table in (tables.mirror, tables.changes, tables.quarantine, tables.ledger):
        _say_layout(bench, table, CURRENT + 1)
        before = list(_metadata(bench))
        stage.refused(LayoutTooNew, lambda: _run(stage, bench, 2), says=f"{table} has layout version {CURRENT + 1}")
        stage.equal(_metadata(bench), before, what="tables that the refused run has left as they were")
        _say_layout(bench, table, CURRENT)
    staged = bench.flow.staging_folder(f"run_{RUNS[2]:%Y%m%dT%H%M%S}", step="extract")
    stage.expect(not Path(staged).exists(), "records were read before the layout was looked at")
    _run(stage, bench, 2)
    _agree(stage, bench, _calm(stage, 1, 2))


def _say_layout(bench: Bench, table: str, version: int) -> None:
    with bench.flow.catalog.load_table(table).transaction() as change:
        change.set_properties({LAYOUT_VERSION: str(version)})


def _metadata(bench: Bench) -> Iterator[str]:
    tables = bench.flow.tables
    for name in (tables.mirror, tables.changes, tables.quarantine, tables.ledger):
        yield bench.flow.catalog.load_table(name).metadata_location


def _agree(stage: Stage, bench: Bench, calm: Bench) -> None:
    lake, oracle = bench.lake(), calm.lake()
    stage.compare(lake, oracle)
    stage.expect(lake.state == oracle.state, f"watermark and refresh are {lake.state}, a calm run's {oracle.state}")
