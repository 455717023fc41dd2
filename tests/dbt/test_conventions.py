"""What the project promises about itself: documented, named alike, one entry an object, critical where it is."""

from __future__ import annotations

import pytest

from include.config.object_file import read_object_files

OBJECTS = read_object_files()
NODES = (
    "stg_{table}",
    "stg_{table}_changes",
    "int_{table}_changes",
    "int_{table}_versions",
    "dim_{table}_scd",
    "dim_{table}_current",
    "{table}_snapshot",
)


def ours(nodes):
    """The nodes of this project."""
    return [node for node in nodes.values() if node.package_name == "sf_history"]


def test_every_model_column_and_macro_is_documented(manifest):
    silent = [node.name for node in (*ours(manifest.nodes), *ours(manifest.sources)) if needs_words(node)]
    silent += [
        f"{node.name}.{column.name}"
        for node in (*ours(manifest.nodes), *ours(manifest.sources))
        for column in node.columns.values()
        if not column.description
    ]
    silent += [macro.name for macro in ours(manifest.macros) if not macro.description]
    silent += [
        f"{macro.name}({argument.name})"
        for macro in ours(manifest.macros)
        for argument in macro.arguments
        if not argument.description
    ]
    assert not silent


def needs_words(node) -> bool:
    return str(node.resource_type) in ("model", "source", "snapshot") and not node.description


def test_every_column_of_every_model_is_listed(history_lake):
    """What a model selects is what its YAML describes; the unit tests and Cosmos read the YAML."""
    assert history_lake.dbt("run", "--empty").success
    catalog = history_lake.dbt("docs", "generate", "--no-compile").result
    wrong = {}
    for name, table in catalog.nodes.items():
        if name.startswith("model."):
            listed = {column.lower() for column in history_lake.parsed.nodes[name].columns}
            if listed != set(table.columns):
                wrong[name] = listed ^ set(table.columns)
    assert len([name for name in catalog.nodes if name.startswith("model.")]) == 12
    assert not wrong


@pytest.mark.parametrize("noun", OBJECTS)
def test_an_object_is_one_noun_all_the_way(manifest, noun):
    table = OBJECTS[noun].table
    tagged = {node.name for node in ours(manifest.nodes) if table in node.tags}
    assert tagged == {name.format(table=table) for name in NODES}
    sources = {source.name for source in ours(manifest.sources) if table in source.tags}
    assert sources == {table, f"{table}_changes", f"{table}_quarantine", f"{table}_consumed"}


@pytest.mark.parametrize("noun", OBJECTS)
def test_the_object_file_and_the_dbt_project_say_the_same(manifest, noun, project_variables):
    objects, object_file = project_variables["sf_objects"], OBJECTS[noun]
    assert set(objects) == set(OBJECTS)
    entry = objects[noun]
    assert entry["table"] == object_file.table
    assert entry["key"] == f"{noun}_key"
    assert entry["id"] == object_file.dimension_column("Id")
    assert entry["cursor"] == object_file.cursor_column
    assert entry["tracked"] == [object_file.dimension_column(name) for name in object_file.tracked]
    apart = {"lastmodifieddate", "systemmodstamp", "createddate", "isdeleted"}
    names = {
        name.lower(): object_file.dimension_column(name) for name in object_file.fields if name.lower() not in apart
    }
    assert {column["source"]: column["name"] for column in entry["columns"]} == names


@pytest.mark.parametrize("noun", OBJECTS)
def test_accepted_values_are_those_of_the_object_file(manifest, noun):
    object_file = OBJECTS[noun]
    tested = {
        node.column_name: tuple(node.test_metadata.kwargs["arguments"]["values"])
        if "arguments" in node.test_metadata.kwargs
        else tuple(node.test_metadata.kwargs["values"])
        for node in ours(manifest.nodes)
        if str(node.resource_type) == "test"
        and node.test_metadata.name == "accepted_values"
        and node.attached_node == f"model.sf_history.dim_{object_file.table}_current"
    }
    assert tested == {
        object_file.dimension_column(name): values for name, values in object_file.accepted_values.items()
    }


def test_only_the_critical_tests_stop_a_run_and_they_run_before_and_after_publishing(manifest):
    stopping = {
        (node.name, node.attached_node.removeprefix("model.sf_history."))
        for node in ours(manifest.nodes)
        if str(node.resource_type) == "test" and node.config.severity.lower() == "error"
    }
    assert stopping == {
        (name, f"{layer}{one.table}{suffix}")
        for one in OBJECTS.values()
        for name in (f"unique_{one.dimension_column('Id')}", "scd_integrity")
        for layer, suffix in (("int_", "_versions"), ("dim_", "_scd"))
    }


def test_the_dimensions_have_an_enforced_contract(manifest):
    dimensions = [node for node in ours(manifest.nodes) if node.name.startswith("dim_") and node.name.endswith("_scd")]
    assert len(dimensions) == len(OBJECTS)
    for node in dimensions:
        assert node.config.contract.enforced
        assert all(column.data_type for column in node.columns.values())


def test_names_and_types_of_the_user_dimension(manifest):
    columns = manifest.nodes["model.sf_history.dim_sf_user_scd"].columns
    assert {name: column.data_type for name, column in columns.items()} == {
        "user_key": "bigint",
        "user_id": "varchar",
        "name": "varchar",
        "division": "varchar",
        "audit_phase__c": "varchar",
        "is_active": "boolean",
        "update_date": "timestamp(6)",
        "effective_from": "timestamp(6)",
        "effective_to": "timestamp(6)",
        "is_current": "boolean",
        "is_deleted": "boolean",
        "_dbt_updated_at": "timestamp(6)",
        "_scd_id": "varchar",
    }
