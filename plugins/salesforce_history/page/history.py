"""GET /api/{noun}/…: records, one record, changes and the quarantine of an object."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from include.page.cells import as_cell
from include.page.changes import CSV_COLUMNS, Asked, Changes
from include.page.lake import ObjectLake
from include.page.quarantine import QuarantineView
from include.page.record import RecordView
from include.page.records import Search
from salesforce_history.page.addresses import AddressesDep
from salesforce_history.page.lakes import LakesDep
from salesforce_history.page.parameters import (
    ChangesQuery,
    Identity,
    NoQuery,
    Noun,
    ObservationsQuery,
    PeriodAsked,
    PeriodQuery,
    QuarantineQuery,
    RecordsQuery,
)
from salesforce_history.page.refusals import ReadingRoute

router = APIRouter(prefix="/api/{noun}", route_class=ReadingRoute)


@router.get("/records")
def records(noun: Noun, asked: RecordsQuery, lakes: LakesDep) -> dict[str, Any]:
    """Records by name, e-mail address or Id."""
    search = Search(lake=lakes.of(noun), cache=lakes.cache)
    return search.find(asked.q, page=asked.page, limit=asked.limit)


@router.get("/records/{identity}")
def record(noun: Noun, identity: Identity, _asked: NoQuery, lakes: LakesDep, links: AddressesDep) -> dict[str, Any]:
    """One record, with the first of its observations."""
    view = RecordView(lake=lakes.of(noun), cache=lakes.cache, links=links)
    return view.show(identity, site=lakes.site())


@router.get("/records/{identity}/observations")
def observations(
    noun: Noun, identity: Identity, asked: ObservationsQuery, lakes: LakesDep, links: AddressesDep
) -> dict[str, Any]:
    """More of its observations."""
    return RecordView(lake=lakes.of(noun), cache=lakes.cache, links=links).observations(identity, asked.page)


@router.get("/changes")
def changes(noun: Noun, asked: ChangesQuery, lakes: LakesDep) -> dict[str, Any]:
    """Who moved from what to what in a period."""
    found = _changes(lakes.of(noun), asked, lakes)
    return {**found.summary(), **found.page(asked.page, limit=asked.limit)}


@router.get("/changes.csv")
def changes_csv(noun: Noun, asked: PeriodQuery, lakes: LakesDep) -> StreamingResponse:
    """All of them, for a spreadsheet."""
    found = _changes(lakes.of(noun), asked, lakes)
    name = f"{noun}_{found.field}_changes.csv"
    parts = found.rows_of_csv()
    # Read before the answer begins: what goes wrong is then told, and not an empty file.
    first = next(parts, [])
    return StreamingResponse(
        _lines(chain([first], parts)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get("/quarantine")
def quarantine(noun: Noun, asked: QuarantineQuery, lakes: LakesDep, links: AddressesDep) -> dict[str, Any]:
    """What was refused, and how to bring it in."""
    lake = lakes.of(noun)
    shown = QuarantineView(lake=lake, cache=lakes.cache).show(
        reason=asked.reason or None, state=asked.state or None, page=asked.page, limit=asked.limit
    )
    replay = {
        "param": "replay_quarantine",
        "dag_id": lake.object_file.dag_id,
        "trigger_url": links.dag(lake.object_file.dag_id),
        "command": f"make quarantine OBJECT={noun} REPLAY=1",
    }
    return {**shown, "replay": replay}


def _changes(lake: ObjectLake, asked: PeriodAsked, lakes: LakesDep) -> Changes:
    wanted = Asked(
        since=asked.begins, until=asked.ends, field=asked.field or None, before=asked.before, after=asked.after
    )
    return Changes(lake, lakes.cache, wanted)


def _lines(parts: Iterable[list[tuple[Any, ...]]]) -> Iterator[str]:
    yield ",".join(CSV_COLUMNS) + "\r\n"
    for rows in parts:
        written = io.StringIO()
        csv.writer(written, lineterminator="\r\n").writerows([as_cell(cell) for cell in row] for row in rows)
        yield written.getvalue()
