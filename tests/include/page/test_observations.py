"""A record's observations and the versions that they are in: as dbt's SQL has them, and the oracle's plain Python."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.catalog import Catalog

from include.page.answers import BadRequest, NotThere, moment
from include.page.lake import ObjectLake
from include.page.observation_fold import Fold
from include.page.observations import ObservationReader
from include.page.record import RecordView
from include.page.records import Search
from include.page.table_reading import One, TablePlan
from tests.dbt.conftest import HistoryLake
from tests.engines.engines import duckdb_engine
from tests.include.page.lakes import ENVIRONMENT, USER, Links, new_cache, user_id

ADA, BOB, CY = (user_id(number) for number in (1, 2, 3))
SEEN = ",".join(USER.columns)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> HistoryLake:
    """Three runs that dbt has published, and one that it has not: Ada moves, goes, returns and moves; Bob stays."""
    made = HistoryLake(duckdb_engine(tmp_path_factory.mktemp("lake")))

    def seen(record: str, at: str, **values: Any) -> dict[str, Any]:
        return made.observation(record, at, **{"_observed_columns": SEEN, "division": "North", **values})

    made.log(
        seen(ADA, "2026-01-05 01:00"), seen(BOB, "2026-01-05 01:30", name="<script>"), seen(CY, "2026-01-05 02:00")
    )
    made.history()
    made.log(
        seen(ADA, "2026-01-05 07:00", division="West"),
        seen(ADA, "2026-01-05 07:30", division="West", name="Ada B"),
        seen(CY, "2026-01-05 08:00", division=None),
    )
    made.history()
    made.log(seen(ADA, "2026-01-05 13:00", division="West", _change="delete"))
    # A column that was not observed is not empty; an empty text is.
    made.log(
        seen(ADA, "2026-01-05 14:00", division=None, _observed_columns=SEEN.replace("division,", "")),
        seen(CY, "2026-01-05 14:30", division=""),
    )
    made.log(seen(ADA, "2026-01-05 19:00"))
    made.history()
    made.log(seen(ADA, "2026-01-06 01:00", division="South"))
    return made


def page_lake(catalog: Catalog) -> ObjectLake:
    return ObjectLake(catalog, USER, ENVIRONMENT)


def shown(lake: HistoryLake, record: str) -> dict[str, Any]:
    view = RecordView(lake=page_lake(lake.catalog), cache=new_cache(), links=Links())
    return view.show(record, site="https://example.my.salesforce.com")


def test_the_versions_are_those_of_the_dimension(lake: HistoryLake) -> None:
    for record in (ADA, BOB, CY):
        found = shown(lake, record)
        rows = [row for row in lake.versions() if row["user_id"] == record]
        assert [
            (one["effective_from"], one["effective_to"], one["is_current"], one["is_deleted"], one["name"],
             one["values"]["division"], one["values"]["audit_phase__c"], one["scd_id"], one["user_key"])
            for one in found["versions"]
        ] == [
            (moment(row["effective_from"]), moment(row["effective_to"]), row["is_current"], row["is_deleted"],
             row["name"], row["division"], row["audit_phase__c"], row["_scd_id"], str(row["user_key"]))
            for row in rows
        ]  # fmt: skip
    ada = shown(lake, ADA)
    assert [one["changed"] for one in ada["versions"]] == [
        [],
        ["division"],
        ["is_deleted"],
        ["is_deleted"],
        ["division"],
    ]
    assert [one["returned"] for one in ada["versions"]] == [False, False, False, True, False]
    assert ada["salesforce_url"] == f"https://example.my.salesforce.com/{ADA}"
    assert shown(lake, BOB)["name"] == "<script>"


def test_exactly_one_version_holds_at_any_moment(lake: HistoryLake) -> None:
    """What the slider shows as of a moment: `effective_from <= t < effective_to`."""
    versions = shown(lake, ADA)["versions"]
    instants = [datetime(2026, 1, 5, 1, tzinfo=UTC) + timedelta(minutes=15 * step) for step in range(100)]
    for at in map(moment, instants):
        holding = [
            one for one in versions
            if str(one["effective_from"]) <= str(at) and (one["effective_to"] is None or str(at) < one["effective_to"])
        ]  # fmt: skip
        assert len(holding) == 1, at


def test_an_observation_is_in_the_version_that_dbt_made_of_it(lake: HistoryLake) -> None:
    ada = shown(lake, ADA)
    number = {version["scd_id"]: place for place, version in enumerate(ada["versions"])}
    assert [number.get(one["version"]) for one in ada["observations"]] == [0, 1, 1, 2, 3, 4, None]
    assert [one["opened_version"] is not None for one in ada["observations"]] == [
        True, True, False, True, True, True, False,
    ]  # fmt: skip
    # The last version of each observation says what the observation said.
    for one in ada["observations"]:
        if one["opened_version"] is not None and one["change"] != "delete":
            version = ada["versions"][number[one["opened_version"]]]
            assert version["effective_from"] == one["values"]["lastmodifieddate"]
    assert ada["pending"] == 1
    assert ada["observations_next"] is None
    assert [one["cursor"] for one in ada["observations"]][:2] == ["2026-01-05T01:00:00Z", "2026-01-05T07:00:00Z"]
    assert ada["observations"][0]["run_url"] == "/dags/sf_user_pipeline/runs/run-1"
    cy = shown(lake, CY)
    assert len(cy["versions"]) == 2
    assert [one["opened_version"] for one in cy["observations"]] == [
        cy["versions"][0]["scd_id"], cy["versions"][1]["scd_id"], None,
    ]  # fmt: skip


@pytest.mark.parametrize(("most_files", "page_size"), [(1, 50), (2, 1), (60, 2), (1, 1), (3, 3)])
def test_page_by_page_it_is_the_same(lake: HistoryLake, most_files: int, page_size: int) -> None:
    whole = ObservationReader(lake=page_lake(lake.catalog), cache=new_cache()).read(ADA)
    reader = ObservationReader(
        lake=page_lake(lake.catalog), cache=new_cache(), most_files=most_files, page_size=page_size
    )
    placed, page, pages = [], None, 0
    while True:
        found = reader.read(ADA, page)
        placed += found.placed
        page, pages = found.next, pages + 1
        assert len(found.placed) <= page_size
        if page is None:
            break
    assert pages > 1
    assert [(row["_row_hash"], at and (at.version, at.opens)) for row, at in placed] == [
        (row["_row_hash"], at and (at.version, at.opens)) for row, at in whole.placed
    ]


def test_what_an_engine_deleted_is_not_read(lake: HistoryLake) -> None:
    """DuckDB's MERGE leaves position deletes: both ways of reading a table see the same rows."""
    table = lake.dimension()
    assert any(task.delete_files for task in table.scan().plan_files())
    columns = ["user_id", "division", "effective_from", "is_current"]
    plan = TablePlan.of(table, new_cache(), key="user_id")
    ours = [row for piece in plan.read(columns, encoded=["division"]) for row in piece.to_pylist()]
    theirs = table.scan(selected_fields=tuple(columns)).to_arrow().to_pylist()
    assert sorted(map(str, ours)) == sorted(str({name: row[name] for name in columns}) for row in theirs)
    for record in (ADA, BOB, CY, user_id(9)):
        one = [
            row for piece in plan.read(columns, one=One(column="user_id", value=record)) for row in piece.to_pylist()
        ]
        assert sorted(map(str, one)) == sorted(str(row) for row in ours if row["user_id"] == record)


def test_a_search_sees_what_dbt_published(lake: HistoryLake) -> None:
    found = Search(lake=page_lake(lake.catalog), cache=new_cache()).find("", page=None, limit=9)
    assert [(one["id"], one["values"]["division"]) for one in found["records"]] == [
        (row["user_id"], row["division"])
        for row in sorted(lake.versions(), key=lambda row: row["name"].lower())
        if row["is_current"]
    ]


def test_a_record_that_is_not_there_is_told(lake: HistoryLake, tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=f"User {user_id(9)} is not in the history"):
        shown(lake, user_id(9))
    with pytest.raises(BadRequest, match="is not a Salesforce id"):
        shown(lake, "nobody")
    with pytest.raises(BadRequest, match="page is 'zz'"):
        ObservationReader(lake=page_lake(lake.catalog), cache=new_cache()).read(ADA, "zz")


OBSERVED = st.lists(
    st.fixed_dictionaries(
        {
            "division": st.sampled_from(["North", "South", "", None]),
            "audit_phase__c": st.sampled_from(["Phase1", None]),
            "isdeleted": st.booleans(),
            "_change": st.sampled_from(["upsert", "upsert", "delete"]),
            "_observed_columns": st.sampled_from([None, "id,division,audit_phase__c", "id,audit_phase__c", "id"]),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(rows=OBSERVED, cut=st.integers(0, 8))
def test_a_fold_that_is_interrupted_goes_on(rows: list[dict[str, Any]], cut: int) -> None:
    """And it opens versions where docs/DESIGN says: told again here from the list of all earlier observations."""
    whole = Fold(["division", "audit_phase__c"])
    placed = [whole.take(row) for row in rows]
    first = Fold(["division", "audit_phase__c"])
    parts = [first.take(row) for row in rows[:cut]]
    second = Fold(first.tracked, version=first.version, deleted=first.deleted, known=dict(first.known))
    parts += [second.take(row) for row in rows[cut:]]
    assert [(one.version, one.opens) for one in parts] == [(one.version, one.opens) for one in placed]

    def gone(row: dict[str, Any]) -> bool:
        return row["isdeleted"] or row["_change"] == "delete"

    for place, row in enumerate(rows):
        opens = place == 0 or gone(row) != gone(rows[place - 1])
        for column in ("division", "audit_phase__c"):
            saw = [
                one
                for one in rows[: place + 1]
                if one["_observed_columns"] is None or column in one["_observed_columns"]
            ]
            if len(saw) > 1 and saw[-1] is row:
                opens |= (saw[-2][column] or None) != (row[column] or None)
        assert placed[place].opens == opens, (place, row)
