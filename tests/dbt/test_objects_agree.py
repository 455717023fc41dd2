"""The two descriptions of an object, its object file and its entry in dbt_project.yml, say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from include.config.object_file import ObjectFile, read_object_files

PROJECT = Path(__file__).resolve().parents[2]
OBJECTS = read_object_files()
ENTRIES: dict[str, Any] = yaml.safe_load((PROJECT / "dbt" / "dbt_project.yml").read_text())["vars"]["sf_objects"]

#: Columns that every dimension and every staging model derives by itself.
DERIVED = {"LastModifiedDate", "SystemModstamp", "IsDeleted"}


def test_every_object_has_both() -> None:
    assert set(ENTRIES) == set(OBJECTS)


@pytest.mark.parametrize("noun", sorted(OBJECTS))
def test_names_and_tracked_fields_are_the_same(noun: str) -> None:
    object_file, entry = OBJECTS[noun], ENTRIES[noun]
    assert entry["table"] == object_file.table
    assert (entry["id"], entry["key"]) == (object_file.dimension_column("Id"), f"{noun}_key")
    assert entry["cursor"] == object_file.cursor_column
    assert entry["tracked"] == [object_file.dimension_column(name) for name in object_file.tracked]


@pytest.mark.parametrize("noun", sorted(OBJECTS))
def test_every_field_that_is_read_is_staged_under_its_name(noun: str) -> None:
    object_file, entry = OBJECTS[noun], ENTRIES[noun]
    named = {column["source"]: column["name"] for column in entry["columns"]}
    staged = {column["source"] for column in entry["staged"]}
    for name in sorted(set(object_file.fields) - DERIVED):
        assert name.lower() in named or name.lower() in staged, f"{name} is read and then forgotten"
        if name.lower() in named:
            assert named[name.lower()] == object_file.dimension_column(name)
    assert set(named) | staged <= set(object_file.columns), "dbt names a column that is not read"


@pytest.mark.parametrize("object_file", OBJECTS.values(), ids=lambda object_file: object_file.noun)
def test_accepted_values_are_the_same(object_file: ObjectFile) -> None:
    columns: dict[str, Any] = {}
    for path in (PROJECT / "dbt" / "models").rglob("*.yml"):
        for model in yaml.safe_load(path.read_text()).get("models", []):
            if model["name"].endswith(f"_{object_file.table}_current"):
                columns |= {column["name"]: column for column in model["columns"]}
    for name, values in object_file.accepted_values.items():
        tests = columns[object_file.dimension_column(name)]["data_tests"]
        accepted = next(
            test["accepted_values"] for test in tests if isinstance(test, dict) and "accepted_values" in test
        )
        assert tuple((accepted.get("arguments") or accepted)["values"]) == values
