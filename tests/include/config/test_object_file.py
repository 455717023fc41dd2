"""Object files: what they mean, and what a wrong one says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from include.config.object_file import ObjectFileError, read_object_file, read_object_files
from include.config.operating import Upsert

MINIMAL: dict[str, Any] = {
    "version": 1,
    "object": "Contact",
    "fields": ["Id", "Name", "LastModifiedDate", "SystemModstamp"],
    "tracked": ["Name"],
}


def written(folder: Path, document: Any, name: str = "contact.yml") -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return path


def test_user_is_what_the_owners_of_the_data_asked_for() -> None:
    user = read_object_files()["user"]
    assert (user.object, user.table, user.dimension, user.dag_id) == (
        "User",
        "sf_user",
        "dim_sf_user_scd",
        "sf_user_pipeline",
    )
    assert user.columns == (
        "id",
        "name",
        "division",
        "audit_phase__c",
        "lastmodifieddate",
        "systemmodstamp",
        "isactive",
        "isdeleted",
        "createddate",
    )
    assert user.tracked == ("Division", "Audit_Phase__c")
    assert (user.required, user.unique) == (("Id", "Name"), ("Id",))
    assert user.accepted_values["Division"] == ("North", "South", "East", "West", "Central")
    assert user.accepted_values["Audit_Phase__c"] == ("Phase1", "Phase2", "Phase3", "Complete")
    assert user.expected_rows is not None
    assert (user.expected_rows.minimum, user.expected_rows.maximum) == (4000, 6000)
    assert (user.max_error_percent, user.batch_size, user.lookback) == (5, 10_000, timedelta(hours=1))
    assert user.cron == "0 */6 * * *"


def test_defaults_of_a_minimal_file(tmp_path: Path) -> None:
    contact = read_object_file(written(tmp_path, MINIMAL))
    assert (contact.table, contact.noun, contact.cursor_column) == ("sf_contact", "contact", "systemmodstamp")
    assert contact.columns[-1] == "isdeleted"
    assert contact.full_refresh_every == timedelta(days=7)


def test_the_cursor_falls_back_to_last_modified_date(tmp_path: Path) -> None:
    without = {**MINIMAL, "fields": ["Id", "Name", "LastModifiedDate"]}
    assert read_object_file(written(tmp_path, without)).cursor_column == "lastmodifieddate"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, ["version: this release reads version 1; upgrade the package", "(got 2)"]),
        ({"version": 0}, ["version: there is no such version; write `version: 1`", "(got 0)"]),
        ({"version": "1"}, ["version: there is no such version; write `version: 1`", "(got '1')"]),
        ({"version": True}, ["version: there is no such version", "(got True)"]),
        ({"version": None}, ["version: there is no such version", "(got None)"]),
        ({"object": "Drop Table"}, ["object", "Drop Table"]),
        ({"fields": []}, ["fields"]),
        (
            {"fields": ["Id", "Name", "NAME", "LastModifiedDate", "SystemModstamp"]},
            ["NAME and Name are the same field"],
        ),
        ({"fields": ["Name", "LastModifiedDate", "SystemModstamp"]}, ["fields must list Id"]),
        ({"tracked": []}, ["tracked"]),
        ({"tracked": ["Divsion"]}, ["tracked names Divsion, which fields does not list"]),
        ({"required": ["Name"]}, ["required must list Id"]),
        ({"schedule": "sometimes"}, ["schedule", "sometimes", "hourly, every_six_hours, daily, weekly"]),
        ({"lookback": "1 fortnight"}, ["lookback", "1 fortnight", "90s, 30m, 1h or 7d"]),
        ({"max_error_percent": 101}, ["max_error_percent", "101"]),
        ({"batch_size": 0}, ["batch_size", "0"]),
        ({"expected_rows": {"typical": 9, "minimum": 10, "maximum": 20}}, ["expected_rows", "minimum <= typical"]),
        ({"dimension_names": {"Id": "x", "Name": "x"}}, ["dimension_names gives x to more than one field"]),
        ({"table": "sf_user_changes"}, ["table", "sf_user_changes", "does not end in _changes"]),
        ({"table": "contact"}, ["table", "begins with sf_"]),
        ({"dimension_names": {"Name": "effective_from"}}, ["effective_from is a column that every dimension has"]),
        ({"dimension_names": {"Name": "contact_key"}}, ["contact_key is a column"]),
        ({"schedule": "99 99 * * *"}, ["schedule", "99 99 * * *"]),
        ({"full_refresh_every": "0s"}, ["full_refresh_every", "longer than nothing"]),
        ({"lookback": "99999999999999d"}, ["lookback", "at most 3650d"]),
        ({"tracked": ["SystemModstamp"]}, ["tracked names SystemModstamp, which Salesforce keeps itself"]),
        ({"cursor": "Id"}, ["cursor is Id, which does not move"]),
        ({"batch_size": True}, ["batch_size", "True"]),
        ({"colour": "red"}, ["colour", "is not a key", "allowed are version, object"]),
    ],
)
def test_a_wrong_file_names_file_key_value_and_what_is_allowed(
    tmp_path: Path, change: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ObjectFileError) as refused:
        read_object_file(written(tmp_path, {**MINIMAL, **change}))
    for word in ["contact.yml", *words]:
        assert word in str(refused.value)


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ObjectFileError, match="2 problem"):
        read_object_file(written(tmp_path, {**MINIMAL, "batch_size": 0, "max_error_percent": -1}))


def test_a_file_without_a_version_says_what_to_write(tmp_path: Path) -> None:
    without = {name: value for name, value in MINIMAL.items() if name != "version"}
    with pytest.raises(ObjectFileError, match=r"contact\.yml(.|\n)*version: is missing; write `version: 1`"):
        read_object_file(written(tmp_path, without))


def test_of_a_file_of_a_later_version_nothing_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(ObjectFileError, match="1 problem") as refused:
        read_object_file(written(tmp_path, {**MINIMAL, "version": 2, "colour": "red", "batch_size": 0}))
    assert "colour" not in str(refused.value)


@pytest.mark.parametrize("document", ["- a list", "fields: [", "42", ""])
def test_what_is_no_mapping_is_refused(tmp_path: Path, document: str) -> None:
    with pytest.raises(ObjectFileError, match=r"contact\.yml"):
        read_object_file(written(tmp_path, document))


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL)
    path.write_text(path.read_text() + "tracked: [Id]\n")
    with pytest.raises(ObjectFileError, match="tracked is given twice"):
        read_object_file(path)


def test_a_number_that_no_machine_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObjectFileError, match=r"contact\.yml"):
        read_object_file(written(tmp_path, yaml.safe_dump(MINIMAL) + "batch_size: " + "9" * 5000 + "\n"))


def test_two_files_for_one_object_are_refused(tmp_path: Path) -> None:
    written(tmp_path, MINIMAL)
    written(tmp_path, {**MINIMAL, "table": "sf_contact_too"}, "twin.yml")
    with pytest.raises(ObjectFileError, match="another file too"):
        read_object_files(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ObjectFileError, match="no object file"):
        read_object_files(tmp_path)


@pytest.mark.parametrize(
    ("asked", "on_trino", "on_athena"),
    [
        ("auto", [False, True], [False, False]),
        ("worker", [False, False], [False, False]),
        ("engine", [True] * 2, [True] * 2),
    ],
)
def test_athena_upserts_only_where_the_file_says_so(
    asked: Literal["auto", "worker", "engine"], on_trino: list[bool], on_athena: list[bool]
) -> None:
    """Nobody has seen Athena write timestamps with time zone by MERGE: no lake grows into being the first trial."""
    chosen = Upsert(engine=asked)
    rows = (chosen.engine_from_rows - 1, chosen.engine_from_rows)
    assert [chosen.on_engine(count, "trino") for count in rows] == on_trino
    assert [chosen.on_engine(count, "athena") for count in rows] == on_athena
