"""docs/queries.md: every query runs on Athena, on DuckDB where its dialect allows, and says what the oracle says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.athena.asking import Asking
from tests.athena.conftest import BY_HAND
from tests.athena.endpoint import Athena
from tests.e2e.conftest import ask_lake
from tests.engines.engines import Engine
from tests.oracle.history_model import dimension
from tests.oracle.org_model import read_scenario
from tests.oracle.reads import Lake
from tests.oracle.replay import replay
from tests.oracle.shapes import USER
from tests.parsed_project import PROJECT

pytestmark = pytest.mark.athena

_BLOCK = re.compile(r"```sql\n(.*?)```", re.DOTALL)
Rows = list[dict[str, str | None]]


def sections() -> dict[str, tuple[list[str], str]]:
    """Heading → its queries, its text."""
    text = (PROJECT / "docs" / "queries.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)$", text, flags=re.MULTILINE)[1:]
    return {heading: (_BLOCK.findall(body), body) for heading, body in zip(parts[::2], parts[1::2], strict=True)}


def only_athena(heading: str) -> bool:
    return "Athena and Trino only" in sections()[heading][1]


@pytest.fixture(scope="module")
def lake() -> Lake:
    """What the oracle says of the scenario on paper."""
    return replay(USER, read_scenario(BY_HAND.read_text(encoding="utf-8").splitlines()))


@pytest.fixture(scope="module")
def versions(lake: Lake) -> list[dict[str, Any]]:
    return sorted(dimension(lake.log), key=lambda row: (row["user_id"], row["effective_from"]))


Answer = Callable[[list[dict[str, Any]], Lake], list[tuple[Any, ...]]]


def holds_at(row: dict[str, Any], moment: datetime) -> bool:
    return row["effective_from"] <= moment and (row["effective_to"] is None or row["effective_to"] > moment)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def as_of(versions: list[dict[str, Any]], _: Lake) -> list[tuple[Any, ...]]:
    there = [row for row in versions if holds_at(row, at("2026-01-05 18:00:00")) and not row["is_deleted"]]
    return [(row["user_id"], row["name"], row["division"], row["audit_phase__c"]) for row in there]


def one_user(versions: list[dict[str, Any]], _: Lake) -> list[tuple[Any, ...]]:
    columns = ("effective_from", "effective_to", "division", "audit_phase__c", "is_deleted", "is_current")
    return [tuple(row[name] for name in columns) for row in versions if row["user_id"] == "005Sim000000003IAA"]


def changes(versions: list[dict[str, Any]], _: Lake) -> list[tuple[Any, ...]]:
    pairs = [(a, b) for a, b in pairwise(versions) if a["user_id"] == b["user_id"]]
    return [
        (b["user_id"], b["name"], b["effective_from"], a["division"], b["division"], a["audit_phase__c"],
         b["audit_phase__c"], a["is_deleted"], b["is_deleted"])
        for a, b in sorted(pairs, key=lambda pair: (pair[1]["effective_from"], pair[1]["user_id"]))
    ]  # fmt: skip


def counts(*moments: str) -> Answer:
    def answer(versions: list[dict[str, Any]], _: Lake) -> list[tuple[Any, ...]]:
        found: Counter[tuple[datetime, Any]] = Counter()
        for moment in map(at, moments):
            found.update(
                (moment, row["division"]) for row in versions if holds_at(row, moment) and not row["is_deleted"]
            )
        return sorted(((*key, count) for key, count in found.items()), key=lambda row: (row[0], row[1] or "~"))

    return answer


def deleted_or_back(versions: list[dict[str, Any]], _: Lake) -> list[tuple[Any, ...]]:
    found = []
    for before, row in zip([None, *versions], versions, strict=False):
        was = bool(before and before["user_id"] == row["user_id"] and before["is_deleted"])
        if row["is_deleted"] != was:
            found.append(
                (row["user_id"], row["name"], row["effective_from"], "deleted" if row["is_deleted"] else "returned")
            )
    return sorted(found, key=lambda row: (row[2], row[0]))


def against_the_log(*_: Any) -> list[tuple[Any, ...]]:
    return []


def observations(versions: list[dict[str, Any]], lake: Lake) -> list[tuple[Any, ...]]:
    made = Counter(row["user_id"] for row in versions)
    seen = {record: len(known) for record, known in lake.log.by_record().items()}
    return sorted(((record, count, made[record]) for record, count in seen.items()), key=lambda row: (-row[1], row[0]))


ANSWERS: dict[str, Answer] = {
    "Everybody as of a moment": as_of,
    "The history of one user": one_user,
    "What changed in a month": changes,
    "Users per division at several moments": counts(
        "2026-01-05 12:00:00", "2026-01-06 00:00:00", "2026-01-07 00:00:00"
    ),
    "Users per division, day by day": counts("2026-01-05 00:00:00", "2026-01-06 00:00:00", "2026-01-07 00:00:00"),
    "Who was deleted, and who came back": deleted_or_back,
    "The current row against the log": against_the_log,
    "How often a user was observed, and how many versions came of it": observations,
}


def told(value: Any) -> str | None:
    """A value as any engine's text, made plain: no fraction that is zero, '' and null alike."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value.replace(tzinfo=None)) if isinstance(value, datetime) else str(value)
    return re.sub(r"\.0+$", "", text)


def test_every_query_in_the_docs_has_its_answer_here() -> None:
    assert set(sections()) == {*ANSWERS, "Everybody now", "What the table said before a run"}
    assert all(len(queries) == 1 for heading, (queries, _) in sections().items() if heading in ANSWERS)


@pytest.mark.parametrize("heading", ANSWERS)
def test_on_athena(heading: str, athena: Athena, by_hand: Engine, versions: list[dict[str, Any]], lake: Lake) -> None:
    (query,) = sections()[heading][0]
    rows = Asking(athena, "default")(query.replace("_prod.", "_by_hand."))
    expected = ANSWERS[heading](versions, lake)
    assert [tuple(map(told, row.values())) for row in rows] == [tuple(map(told, row)) for row in expected]


@pytest.mark.parametrize("heading", [heading for heading in ANSWERS if not only_athena(heading)])
def test_on_a_laptop(heading: str, by_hand_on_duckdb: Engine, versions: list[dict[str, Any]], lake: Lake) -> None:
    (query,) = sections()[heading][0]
    rows = ask_lake(by_hand_on_duckdb.folder, query.replace("_prod.", "."))
    expected = ANSWERS[heading](versions, lake)
    assert [tuple(map(told, row.values())) for row in rows] == [tuple(map(told, row)) for row in expected]


def test_what_was_published_before(athena: Athena, by_hand: Engine) -> None:
    listing, before = sections()["What the table said before a run"][0]
    ask = Asking(athena, "default")
    assert len(ask(listing.replace("_prod.", "_by_hand."))) >= 8
    assert ask(before.replace("_prod.", "_by_hand.")) == [{"published": "20"}]
