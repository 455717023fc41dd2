"""GET /api/overview."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from include.page.answers import PageProblem, moment
from include.page.overview import Overview
from salesforce_history.page.addresses import AddressesDep
from salesforce_history.page.lakes import LakesDep
from salesforce_history.page.parameters import NoQuery
from salesforce_history.page.refusals import ReadingRoute, in_words

router = APIRouter(prefix="/api", route_class=ReadingRoute)


@router.get("/overview")
def overview(_asked: NoQuery, lakes: LakesDep, links: AddressesDep) -> dict[str, Any]:
    """The whole lake. It answers also where nothing can be read: that is what it is for."""
    now = datetime.now(UTC)
    good, wrong = lakes.object_files()
    answer: dict[str, Any] = {
        "now": moment(now),
        "environment": lakes.environment.name,
        "docs": links.dbt_docs(),
        "problems": [{"error": str(one), "remedy": "Correct the file, then reload this page."} for one in wrong],
        "objects": [],
    }
    try:
        answer["objects"] = Overview(
            catalog=lakes.catalog(),
            environment=lakes.environment,
            links=links,
            cache=lakes.cache,
            now=now,
            worded=_worded,
        ).objects(good)
    except Exception as problem:  # noqa: BLE001  (whatever it is, the page says what to do about it)
        told = _worded(problem)
        answer["lake"] = {"state": "unreachable", "message": told.error, "remedy": told.remedy}
        return answer
    answer["lake"] = _state(answer["objects"])
    return answer


def _worded(problem: Exception) -> PageProblem:
    return problem if isinstance(problem, PageProblem) else in_words(problem)


def _state(cards: list[dict[str, Any]]) -> dict[str, str | None]:
    if any(card["freshness"]["state"] != "empty" or card["runs"] for card in cards):
        return {"state": "ready", "message": None, "remedy": None}
    dags = " or ".join(card["dag_id"] for card in cards) or "a pipeline"
    return {
        "state": "empty",
        "message": "Nothing has been loaded from Salesforce yet.",
        "remedy": f"Switch {dags} on, or trigger it; its first run reads everything.",
    }
