"""`deploy ddl`: every table is there, as the code makes it, and Athena reads what is said to be made by Athena."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema

from deploy.__main__ import main
from deploy.ddl import statements
from deploy.names import Names
from include.config.environment import PROJECT_ROOT, current_environment
from include.config.object_file import read_object_files
from include.lake.names import RawTables
from tests.athena.answers import Refused
from tests.athena.dialect import plan

ENVIRONMENT = current_environment({"SF_HISTORY_ENV": "development"})
OBJECTS = list(read_object_files().values())
CREATES = re.compile(r"^CREATE (TABLE|OR REPLACE VIEW) (\S+)", re.MULTILINE)
COLUMN = re.compile(r"^    (\w+)(?: +(.+?))?,?(?: COMMENT .*)?$", re.MULTILINE)


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """Table or view → its statement."""
    found = {}
    for statement in statements(Names.of("development")):
        (name,) = (match[2] for match in CREATES.finditer(statement))
        assert name not in found
        found[name] = statement
    return found


@pytest.fixture(scope="module")
def models() -> dict[str, list[str]]:
    """Model or snapshot of dbt → its columns."""
    nodes = json.loads((PROJECT_ROOT / "dbt" / "target" / "manifest.json").read_text(encoding="utf-8"))["nodes"]
    kinds = ("model", "snapshot")
    return {node["name"]: list(node["columns"]) for node in nodes.values() if node["resource_type"] in kinds}


def columns(statement: str) -> dict[str, str]:
    """Column → type; none in a view."""
    return {match[1]: match[2] or "" for match in COLUMN.finditer(statement)}


def schemas() -> dict[str, pa.Schema | Schema]:
    """Every table of operations that any module of include/ declares."""
    found = {}
    for path in sorted(Path(PROJECT_ROOT / "include").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if re.search(r"^TABLE = ", text, re.MULTILINE) and re.search(r"^SCHEMA\b", text, re.MULTILINE):
            module = importlib.import_module(".".join(path.relative_to(PROJECT_ROOT).with_suffix("").parts))
            found[f"{ENVIRONMENT.operations_namespace}.{module.TABLE}"] = module.SCHEMA
    return found


def test_every_table_is_there_and_no_other(said: dict[str, str], models: dict[str, list[str]]) -> None:
    expected = {f"{ENVIRONMENT.curated_namespace}.{name}" for name in models if not name.startswith(("stg_", "int_"))}
    expected |= schemas().keys()
    for each in OBJECTS:
        tables = RawTables.of(each, ENVIRONMENT)
        expected |= {tables.mirror, tables.changes, tables.quarantine, tables.ledger}
    assert said.keys() == expected
    assert len(schemas()) == 6


def test_columns_are_those_of_the_schemas(said: dict[str, str], models: dict[str, list[str]]) -> None:
    for name, schema in schemas().items():
        assert list(columns(said[name])) == (schema.names if isinstance(schema, pa.Schema) else schema.column_names), (
            name
        )
    for each in OBJECTS:
        tables = RawTables.of(each, ENVIRONMENT)
        fields = {field.lower() for field in each.fields}
        for table in (tables.mirror, tables.changes):
            assert fields <= columns(said[table]).keys(), table
            assert columns(said[table])["systemmodstamp"] == "timestamp with time zone"
        current = each.dimension.removesuffix("_scd") + "_current"
        for model in (each.dimension, current):
            there = list(columns(said[f"{ENVIRONMENT.curated_namespace}.{model}"]))
            assert there == models[each.dimension], model


def test_athena_reads_what_it_is_said_to_make_and_refuses_the_rest(said: dict[str, str]) -> None:
    """As the stand-in for Athena reads DDL (tests/athena): an unknown type is refused by it."""
    refused = set()
    for name, statement in said.items():
        try:
            assert plan(statement).sub in ("CREATE_TABLE", "CREATE_VIEW")
        except Refused:
            assert "timestamp with time zone" in statement, statement
            refused.add(name)
    assert refused == {name for name, statement in said.items() if "not by Athena" in statement}
    dimensions = {f"{ENVIRONMENT.curated_namespace}.{each.dimension}" for each in OBJECTS}
    assert not dimensions & refused


def test_it_is_printed_with_what_it_leaves_out(capsys: pytest.CaptureFixture[str], said: dict[str, str]) -> None:
    assert main(["ddl", "--environment", "production", "--bucket-prefix", "acme-lake"]) == 0
    printed = capsys.readouterr().out
    assert "s3://acme-lake-prod-raw/sf_raw_prod/sf_user'" in printed
    assert "int_* and stg_*" in printed
    assert len(CREATES.findall(printed)) == len(said)
