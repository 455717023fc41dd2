"""Stories of people who must be forgotten: whatever runs before, beside and after, they are not in the lake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from include.lake.erased import InvalidIds
from include.salesforce.window import RunRequest
from include.staging.manifest import Api
from local.faults.bench import Bench, numbered_run
from local.faults.story import Stage, Story
from local.faults.world import MIDNIGHT, NOON, SIX

_PEOPLE = 30
_HER = "005000000000007AAA"


def stories() -> list[Story]:
    """Every story of an erasure, by both APIs."""
    return [*_stories("rest"), *_stories("bulk")]


def _stories(api: Api) -> Iterator[Story]:
    yield Story(fault="a person is erased; then increments and a full refresh read her again", play=_refreshed, api=api)
    yield Story(fault="a person is erased while a run is between extract and upsert", play=_between, api=api)
    if api == "rest":
        yield Story(fault="a person is to be erased, and her Id is mistyped", play=_mistyped, api=api)


def _refreshed(stage: Stage) -> None:
    bench, calm = _settled(stage, "lake"), _settled(stage, "calm")
    report = bench.flow.erase([_HER], run_id="erase", alone=True)
    stage.see(f"{sum(rows.total() for rows in report.removed.values())} rows removed from {len(report.removed)} places")
    for number in (2, 3):
        stage.org.set_clock(numbered_run(number).run_after)
        for one in (bench, calm):
            one.run(numbered_run(number))
    _hold(stage, bench, calm)


def _between(stage: Stage) -> None:
    bench, calm = _settled(stage, "lake"), _settled(stage, "calm")
    stage.org.set_clock(NOON)
    client, request = bench.client(stage.org.connection()), numbered_run(2)
    plan = bench.flow.check_source(client, request, run_id="beside", bulk_from_rows=0 if stage.api == "bulk" else 10**9)
    validated = bench.flow.validate(bench.flow.extract(client, plan))
    bench.flow.erase([_HER], run_id="erase")
    logged = bench.flow.upsert(validated).logged
    stage.see(f"the run goes on: {logged} observations logged, none of hers")
    calm.run(request)
    _hold(stage, bench, calm)


def _mistyped(stage: Stage) -> None:
    bench, calm = _settled(stage, "lake"), _settled(stage, "calm")
    stage.refused(InvalidIds, lambda: bench.flow.erase([f"{_HER[:15]}AAB"], run_id="erase"), says="Nothing was touched")
    stage.compare(bench.lake(), calm.lake())


def _settled(stage: Stage, name: str) -> Bench:
    """A lake after a first load; the org has lived on since."""
    if name == "lake":
        stage.happens(_events())
    stage.org.set_clock(SIX)
    bench = stage.bench(name)
    bench.run(RunRequest(kind="scheduled", run_after=SIX, logical_date=SIX, interval=(MIDNIGHT, SIX)))
    return bench


def _hold(stage: Stage, bench: Bench, calm: Bench) -> None:
    """The lake is a calm one without her, and no staged or data file names her."""
    found, expected = bench.lake(), calm.lake()
    for rows in (found, expected):
        for row in list(rows.rows):
            if ("id", _HER) in row[1]:
                stage.expect(rows is expected, f"she is in {row[0]}")
                del rows.rows[row]
    stage.compare(found, expected)
    stage.expect(found.state == expected.state, f"watermark and refresh are {found.state}, not {expected.state}")
    for path in (stage.folder / "lake").rglob("*"):
        if path.is_file():
            stage.expect(_HER.encode() not in path.read_bytes(), f"{path.name} names her")


def _events() -> Iterator[dict[str, Any]]:
    for number in range(_PEOPLE):
        identity = f"005{number:012d}AAA"
        fields = {"Name": f"User {number}", "Division": "North"}
        yield {"at": "2026-01-05T01:00:00Z", "op": "insert", "object": "User", "Id": identity, "fields": fields}
    for number in range(0, _PEOPLE, 7):
        identity = f"005{number:012d}AAA"
        moved = {"Division": "West"}
        yield {"at": "2026-01-05T07:00:00Z", "op": "update", "object": "User", "Id": identity, "fields": moved}
