"""Searching records: what is found, in which order, and that paging shows each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.page.answers import BadRequest, NotThere
from include.page.records import Search
from tests.include.page.lakes import (
    USER,
    catalog_in,
    new_cache,
    object_lake,
    publish,
    user_id,
    versions_of,
)

HOSTILE = ["<script>alert(1)</script>", '"; drop table x; --', "=1+1", "a\x07b\u202ec", "%", "x" * 3_000, "ÅSA Ünal"]


def everything(search: Search, text: str, *, limit: int) -> list[dict[str, Any]]:
    """All pages, one after the other."""
    found, page = [], None
    while True:
        answer = search.find(text, page=page, limit=limit)
        assert len(answer["records"]) <= limit
        found += answer["records"]
        page = answer["next"]
        if page is None:
            return found


def test_a_record_is_found_by_its_id_in_both_forms_and_by_a_part_of_its_name(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    gone = versions_of(2, {}, {"is_deleted": True, "division": None}, name="Grace Hopper")
    publish(catalog, versions_of(1, {}, {"division": "West"}, name="Ada Lovelace"), gone)
    search = Search(lake=object_lake(catalog), cache=new_cache())

    for text in (user_id(1), user_id(1)[:15], f" {user_id(1)} "):
        answer = search.find(text, page=None, limit=5)
        assert answer["total"] == 1
        assert answer["records"] == [
            {
                "id": user_id(1), "name": "Ada Lovelace", "values": {"division": "West", "audit_phase__c": "Phase1"},
                "is_active": True, "is_deleted": False, "since": "2026-01-05T01:00:00Z", "matched": "id",
            }
        ]  # fmt: skip
    assert [one["name"] for one in search.find("HOPPER", page=None, limit=5)["records"]] == ["Grace Hopper"]
    found = search.find("", page=None, limit=5)
    assert [(one["name"], one["is_deleted"], one["values"]["division"]) for one in found["records"]] == [
        ("Ada Lovelace", False, "West"),
        ("Grace Hopper", True, None),
    ]
    assert found["searched"] == ["id", "name"]
    assert search.find(user_id(3), page=None, limit=5)["records"] == []


def test_a_name_of_fifteen_letters_is_a_name_as_well(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    publish(catalog, versions_of(1, {}, name="Christopherjohn"))
    search = Search(lake=object_lake(catalog), cache=new_cache())
    (found,) = search.find("Christopherjohn", page=None, limit=5)["records"]
    assert found["matched"] == "name"


def test_an_address_is_searched_where_the_object_has_one(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    publish(catalog, versions_of(1, {}, name="Ada"), versions_of(2, {}, name="Bob"), versions_of(3, {}, name="Cy"))
    catalog.create_namespace("sf_raw")
    mirror = pa.table({"id": [user_id(n) for n in (1, 2, 3)], "email": ["A@example.com", "ada@example.org", None]})
    catalog.create_table("sf_raw.sf_user", mirror.schema).append(mirror)
    with_email = USER.model_copy(update={"fields": (*USER.fields, "Email")})
    search = Search(lake=object_lake(catalog, with_email), cache=new_cache())
    answer = search.find("ADA", page=None, limit=5)
    assert [(one["name"], one["matched"]) for one in answer["records"]] == [("Ada", "name"), ("Bob", "email")]
    assert answer["searched"] == ["id", "name", "email"]


@pytest.mark.parametrize("most_kept", [1_000, 3])
def test_hostile_names_come_back_as_they_are(tmp_path: Path, most_kept: int) -> None:
    """Kept in memory or streamed: the answer is the same."""
    catalog = catalog_in(tmp_path)
    publish(catalog, *(versions_of(number, {}, name=name) for number, name in enumerate(HOSTILE)))
    search = Search(lake=object_lake(catalog), cache=new_cache(), most_kept=most_kept)
    for number, name in enumerate(HOSTILE):
        assert user_id(number) in {one["id"] for one in everything(search, name[:200], limit=2)}
    assert sorted(one["name"] for one in everything(search, "", limit=3)) == sorted(HOSTILE)
    assert [one["name"] for one in everything(search, "åsa ü", limit=3)] == ["ÅSA Ünal"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.one_of(st.none(), st.text(alphabet="aAbB<é ", max_size=4)), min_size=1, max_size=30),
    text=st.text(alphabet="ab<é", max_size=2),
    limit=st.integers(1, 7),
    kept=st.booleans(),
)
def test_paging_shows_each_record_once(
    tmp_path_factory: pytest.TempPathFactory, names: list[str | None], text: str, limit: int, kept: bool
) -> None:
    catalog = catalog_in(tmp_path_factory.mktemp("lake"))
    rows = [row for number, name in enumerate(names) for row in versions_of(number, {}, {}, name=name)]
    publish(catalog, rows[::2], rows[1::2])
    search = Search(lake=object_lake(catalog), cache=new_cache(), most_kept=1_000 if kept else 0)
    wanted = sorted(
        ((name or "").lower(), user_id(number))
        for number, name in enumerate(names)
        if not text or (name is not None and text.lower() in name.lower())
    )
    assert [one["id"] for one in everything(search, text, limit=limit)] == [identity for _, identity in wanted]
    assert search.find(text, page=None, limit=limit)["total"] == len(wanted)


def test_a_new_snapshot_shows_at_once(tmp_path: Path) -> None:
    catalog, cache = catalog_in(tmp_path), new_cache()
    publish(catalog, versions_of(1, {}, name="Ada"))
    search = Search(lake=object_lake(catalog), cache=cache)
    assert search.find("", page=None, limit=5)["total"] == 1
    publish(catalog, versions_of(2, {}, name="Bob"))
    assert [one["name"] for one in search.find("", page=None, limit=5)["records"]] == ["Ada", "Bob"]


@pytest.mark.parametrize("page", ["zz", "W10", "WyJyZWNvcmRzIix7Im5hbWUiOjF9XQ", "WyJjaGFuZ2VzIix7fV0", "é"])
def test_a_cursor_that_was_not_handed_out_is_refused(tmp_path: Path, page: str) -> None:
    catalog = catalog_in(tmp_path)
    publish(catalog, versions_of(1, {}))
    with pytest.raises(BadRequest, match=r"page is .* allowed is what an answer had in `next`"):
        Search(lake=object_lake(catalog), cache=new_cache()).find("", page=page, limit=5)


def test_without_a_dimension_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match=r"User has no history yet: there is no sf_curated\.dim_sf_user_scd") as refused:
        Search(lake=object_lake(catalog_in(tmp_path)), cache=new_cache()).find("", page=None, limit=5)
    assert refused.value.remedy == "Switch sf_user_pipeline on, or trigger it, and wait until a run has succeeded."


def test_a_name_that_is_tracked_is_searched_too(tmp_path: Path) -> None:
    catalog = catalog_in(tmp_path)
    publish(catalog, versions_of(1, {}, {"name": "Bob"}, name="Ada"))
    tracked = USER.model_copy(update={"tracked": ("Name", "Division")})
    (found,) = Search(lake=object_lake(catalog, tracked), cache=new_cache()).find("b", page=None, limit=5)["records"]
    assert (found["name"], found["values"]) == ("Bob", {"name": "Bob", "division": "North"})


@pytest.mark.parametrize("name", ["ΝΙΚΟΣ", "İstanbul", "ÅSA Ünal"])
def test_a_name_is_found_by_itself_in_any_script(tmp_path: Path, name: str) -> None:
    """Python folds a final sigma and a dotted I otherwise than Arrow does."""
    catalog = catalog_in(tmp_path)
    publish(catalog, versions_of(1, {}, name=name))
    answer = Search(lake=object_lake(catalog), cache=new_cache()).find(name, page=None, limit=5)
    assert [one["name"] for one in answer["records"]] == [name]
