"""Changes of a period: flows, counts over time, each change by itself; against a count in plain Python."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.types import DoubleType

from include.page.answers import BadRequest, moment
from include.page.changes import MOMENTS, Asked, Changes
from include.page.version_index import version_index
from tests.include.page.lakes import USER, catalog_in, new_cache, object_lake, publish, user_id, utc, versions_of

_MICROSECOND = timedelta(microseconds=1)
STATES = st.fixed_dictionaries(
    {
        "division": st.sampled_from(["North", "South", None]),
        "audit_phase__c": st.sampled_from(["Phase1", None]),
        "is_deleted": st.booleans(),
    }
)
HISTORIES = st.lists(
    st.lists(st.tuples(st.integers(0, 40), STATES), min_size=1, max_size=5, unique_by=lambda one: one[0]),
    min_size=1,
    max_size=8,
)


def lake_of(folder: Path, histories: list[list[tuple[int, dict[str, Any]]]]) -> list[list[dict[str, Any]]]:
    """Publish them; the rows of each record, oldest first."""
    catalog = catalog_in(folder)
    records = [
        versions_of(number, *({"at": at, **state} for at, state in sorted(history, key=lambda one: one[0])))
        for number, history in enumerate(histories)
    ]
    rows = [row for record in records for row in record]
    publish(catalog, rows[::3], rows[1::3], rows[2::3])
    return records


def pages(changes: Changes, limit: int) -> list[dict[str, Any]]:
    found, page = [], None
    while True:
        answer = changes.page(page, limit=limit)
        found += answer["changes"]
        page = answer["next"]
        if page is None:
            return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    histories=HISTORIES,
    since=st.integers(-1, 41),
    length=st.integers(1, 45),
    field=st.sampled_from(["division", "audit_phase__c", "is_deleted"]),
    limit=st.integers(1, 5),
)
def test_it_counts_what_a_person_would(  # noqa: PLR0917  (hypothesis gives them)
    tmp_path_factory: pytest.TempPathFactory,
    histories: list[list[tuple[int, dict[str, Any]]]],
    since: int,
    length: int,
    field: str,
    limit: int,
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    records = lake_of(folder, histories)
    begin, end = utc(since), utc(since + length)
    found = Changes(object_lake(catalog_in(folder)), new_cache(), Asked(since=begin, until=end, field=field))
    summary = found.summary()

    def within(at: datetime) -> bool:
        return begin.replace(tzinfo=None) <= at < end.replace(tzinfo=None)

    pairs = [
        (before, after) for record in records for before, after in pairwise(record) if within(after["effective_from"])
    ]
    moves = [(before, after) for before, after in pairs if before[field] != after[field]]
    flows = Counter((before[field], after[field]) for before, after in moves)
    people = Counter((b, a) for _, b, a in {(one["user_id"], one[field], two[field]) for one, two in moves})
    assert {(one["from"], one["to"]): (one["records"], one["changes"]) for one in summary["flows"]} == {
        pair: (people[pair], flows[pair]) for pair in flows
    }
    assert summary["deleted"] == sum(b["is_deleted"] < a["is_deleted"] for b, a in pairs)
    assert summary["returned"] == sum(b["is_deleted"] > a["is_deleted"] for b, a in pairs)
    assert summary["first_seen"] == sum(within(record[0]["effective_from"]) for record in records)

    def there(at: datetime) -> Counter[Any]:
        return Counter(
            row[field]
            for record in records
            for row in record
            if row["effective_from"] <= at and (row["effective_to"] is None or at < row["effective_to"])
            if not row["is_deleted"]
        )

    step = (end - begin - _MICROSECOND) // (MOMENTS - 1)
    moments = [begin + number * step for number in range(MOMENTS)]
    counted = {at: there(at.replace(tzinfo=None)) for at in moments}
    values = {value for counts in counted.values() for value in counts}
    told = [(one["at"], one["value"], one["records"]) for one in summary["over_time"]]
    assert len(told) == len(moments) * len(values)
    assert set(told) == {(moment(at), value, counted[at][value]) for at in moments for value in values}

    listed = pages(found, limit)
    assert [(one["at"], one["id"], one["from"], one["to"]) for one in listed] == [
        (moment(after["effective_from"]), after["user_id"], before[field], after[field])
        for before, after in sorted(
            moves, key=lambda move: (-move[1]["effective_from"].timestamp(), move[1]["user_id"])
        )
    ]
    assert found.total == len(moves)
    written = [row for rows in found.rows_of_csv() for row in rows]
    assert sorted(row[:2] for row in written) == sorted((one["at"], one["id"]) for one in listed)
    assert [row[0] for row in written] == [one["at"] for one in listed]


def test_a_filter_narrows_the_list_and_not_the_flows(tmp_path: Path) -> None:
    lake_of(
        tmp_path,
        [
            [(0, {"division": "North"}), (1, {"division": None}), (2, {"division": "South"})],
            [(0, {"division": "North"}), (3, {"division": "South"})],
        ],
    )
    lake, cache = object_lake(catalog_in(tmp_path)), new_cache()

    def listed(**wanted: str) -> list[tuple[str, str | None, str | None]]:
        found = Changes(lake, cache, Asked(field="division", **wanted))  # type: ignore[arg-type]
        assert len(found.summary()["flows"]) == 3
        return [(one["id"], one["from"], one["to"]) for one in found.page(None, limit=9)["changes"]]

    one, two = user_id(0), user_id(1)
    assert listed(before="North") == [(two, "North", "South"), (one, "North", None)]
    assert listed(after="") == [(one, "North", None)]
    assert listed(before="", after="South") == [(one, None, "South")]
    assert listed(before="nowhere") == []


def test_by_default_it_looks_at_thirty_days_up_to_the_newest_version(tmp_path: Path) -> None:
    lake_of(tmp_path, [[(0, {"division": "North"}), (40, {"division": "South"})]])
    summary = Changes(object_lake(catalog_in(tmp_path)), new_cache(), Asked()).summary()
    assert (summary["since"], summary["until"]) == ("2025-12-07T16:00:01Z", "2026-01-06T16:00:01Z")
    assert summary["field"] == "division"
    assert summary["fields"] == ["division", "audit_phase__c"]


def test_a_number_is_found_as_a_browser_writes_it(tmp_path: Path) -> None:
    """JavaScript writes 1000.0 as 1000, and that is what a click on the matrix asks for."""
    catalog = catalog_in(tmp_path)
    publish(catalog, [])
    name = f"sf_curated.{USER.dimension}"
    with catalog.load_table(name).update_schema() as change:
        change.add_column("annualrevenue", DoubleType())
    table = catalog.load_table(name)
    rows = versions_of(1, *({"annualrevenue": value} for value in (1000.0, 2000.5, 1e21)))
    table.append(pa.Table.from_pylist(rows, table.schema().as_arrow()))
    revenue = {"fields": (*USER.fields, "AnnualRevenue"), "tracked": ("AnnualRevenue",)}
    lake, cache = object_lake(catalog, USER.model_copy(update=revenue)), new_cache()
    for before, after in (("1000", "2000.5"), ("1000.0", "2000.5"), ("2000.5", "1e+21")):
        assert Changes(lake, cache, Asked(before=before, after=after)).total == 1, (before, after)
    assert Changes(lake, cache, Asked(before="1001")).total == 0
    assert Changes(lake, cache, Asked(before="a thousand")).total == 0


def test_after_the_newest_version_nothing_has_changed(tmp_path: Path) -> None:
    lake_of(tmp_path, [[(0, {"division": "North"}), (1, {"division": "South"})]])
    found = Changes(object_lake(catalog_in(tmp_path)), new_cache(), Asked(since=utc(1_000)))
    assert (found.total, found.summary()["flows"], found.summary()["since"]) == (0, [], moment(utc(1_000)))


def test_the_memory_of_long_texts_is_counted(tmp_path: Path) -> None:
    publish(
        catalog_in(tmp_path), [row for n in range(20) for row in versions_of(n, {"division": f"{n}" + "x" * 10_000})]
    )
    field = version_index(object_lake(catalog_in(tmp_path)), new_cache()).fields["division"]
    assert field.nbytes > 20 * 10_000


def test_what_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    lake_of(tmp_path, [[(0, {})]])
    lake = object_lake(catalog_in(tmp_path))
    with pytest.raises(BadRequest, match="field is 'name': allowed are division, audit_phase__c, is_deleted"):
        Changes(lake, new_cache(), Asked(field="name"))
    with pytest.raises(BadRequest, match="since must come first"):
        Changes(lake, new_cache(), Asked(since=utc(2), until=utc(2)))


def test_an_empty_dimension_has_no_changes(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    publish(catalog, [])
    publish(catalog, versions_of(1, {}))
    catalog.load_table("sf_curated.dim_sf_user_scd").delete("user_id != 'nobody'")
    found = Changes(object_lake(catalog), new_cache(), Asked())
    assert found.summary()["flows"] == []
    assert found.page(None, limit=5) == {"changes": [], "next": None, "total": 0}
