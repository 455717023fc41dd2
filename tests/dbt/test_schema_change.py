"""A field is added to an object: the dimension grows with its contract, and unknown is not null."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.types import StringType

from tests.dbt.conftest import HistoryLake
from tests.engines.engines import failures
from tests.parsed_project import PROJECT

BEFORE = "audit_phase__c,createddate,division,id,isactive,isdeleted,lastmodifieddate,name,systemmodstamp"
AFTER = f"{BEFORE},title"

Change = Callable[..., None]


def edited(folder: Path, changes: dict[str, tuple[str, str]]) -> Path:
    """A copy of the dbt project with a text replaced in each of some files."""
    shutil.copytree(PROJECT / "dbt", folder, ignore=shutil.ignore_patterns("target", "logs"))
    for name, (old, new) in changes.items():
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text, f"{name} does not hold {old!r}"
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Change:
    """Changes a lake's project to one whose User has a tracked field Title more."""
    column = (
        "      - name: audit_phase__c\n"
        "        description: \"{{ doc('audit_phase__c') }}\"\n"
        "        data_type: varchar\n"
    )
    project = edited(
        tmp_path_factory.mktemp("grown") / "dbt",
        {
            "dbt_project.yml": (
                "      tracked: [division, audit_phase__c]\n      columns:\n",
                "      tracked: [division, audit_phase__c, title]\n      columns:\n"
                "        - {name: title, source: title}\n",
            ),
            "models/marts/_dim_sf_user.yml": (column, column.replace("audit_phase__c", "title", 1) + column),
        },
    )

    def change(lake: HistoryLake) -> None:
        lake.add_field("title", StringType())
        lake.follow(project)

    return change


def told(lake: HistoryLake) -> list[tuple[Any, ...]]:
    """Versions as (user, division, title, current)."""
    return [(row["user_id"], row["division"], row["title"], row["is_current"]) for row in lake.versions()]


def past(lake: HistoryLake) -> None:
    """Two users before the field was added; one of them has moved."""
    lake.log(
        lake.observation("005A", "2026-01-01", division="North", _observed_columns=BEFORE),
        lake.observation("005A", "2026-01-02", division="South", _observed_columns=BEFORE),
        lake.observation("005B", "2026-01-01", division="East", _observed_columns=BEFORE),
    )
    lake.history()


@pytest.mark.parametrize("flags", [(), ("--full-refresh",)], ids=["increment", "rebuild"])
def test_a_tracked_field_added_later_opens_no_version_by_its_first_observation(
    history_lake: HistoryLake, grown: Change, flags: tuple[str, ...]
) -> None:
    lake = history_lake
    past(lake)
    table, starts = lake.dimension().metadata.table_uuid, [row["effective_from"] for row in lake.versions()]
    grown(lake)
    lake.log(lake.observation("005A", "2026-01-02", division="South", title="Clerk", _observed_columns=AFTER))
    lake.history(*flags)
    assert lake.dimension().metadata.table_uuid == table
    assert [row["effective_from"] for row in lake.versions()] == starts
    assert told(lake) == [
        ("005A", "North", None, False),
        ("005A", "South", "Clerk", True),
        ("005B", "East", None, True),
    ]
    lake.log(lake.observation("005A", "2026-01-03", division="South", title="Manager", _observed_columns=AFTER))
    lake.history(*flags)
    assert told(lake)[1:3] == [("005A", "South", "Clerk", False), ("005A", "South", "Manager", True)]


def test_the_dimension_grows_even_when_there_is_nothing_to_publish(history_lake: HistoryLake, grown: Change) -> None:
    lake = history_lake
    past(lake)
    before = lake.versions()
    grown(lake)
    lake.history()
    assert lake.versions() == [{**row, "title": None} for row in before]


def test_the_snapshot_follows_and_the_cross_check_agrees(history_lake: HistoryLake, grown: Change) -> None:
    lake = history_lake
    first = lake.observation("005A", "2026-01-01", division="North", _observed_columns=BEFORE)
    lake.log(first)
    lake.mirror(first)
    build(lake)
    grown(lake)
    second = lake.observation("005A", "2026-01-02", division="North", title="Clerk", _observed_columns=AFTER)
    lake.log(second)
    lake.mirror(second)
    assert build(lake)["dim_sf_user_agrees_with_snapshot"] == "pass"
    rows = lake.catalog.load_table("sf_curated.sf_user_snapshot").scan().to_arrow().to_pylist()
    assert sorted((row["title"] or "", row["dbt_valid_to"] is None) for row in rows) == [("", False), ("Clerk", True)]


def build(lake: HistoryLake) -> dict[str, str]:
    result = lake.dbt("build", "--select", "tag:sf_user", "--exclude", "resource_type:unit_test")
    assert result.success, failures(result)
    return {one.node.name: str(one.status) for one in result.result}


@pytest.mark.parametrize("choice", ["ignore", "fail", "sync_all_columns"])
def test_any_other_on_schema_change_is_refused_before_the_dimension_is_touched(
    history_lake: HistoryLake, tmp_path_factory: pytest.TempPathFactory, choice: str
) -> None:
    lake = history_lake
    past(lake)
    published = lake.versions()
    project = edited(
        tmp_path_factory.mktemp(choice) / "dbt",
        {"models/marts/dim_sf_user_scd.sql": ("on_schema_change='append_new_columns'", f"on_schema_change='{choice}'")},
    )
    lake.follow(project)
    lake.log(lake.observation("005A", "2026-01-03", division="West"))
    result = lake.dbt("run", "--select", "tag:sf_user")
    assert not result.success
    said = " ".join(" ".join(failures(result)).split())
    assert f"dim_sf_user_scd: on_schema_change is '{choice}'; a dimension of versions allows only" in said
    assert lake.versions() == published
