"""How the tables come into being and follow the object file, and that other engines read them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import duckdb
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from include.config.environment import current_environment
from include.lake.names import RawTables
from include.lake.schema_growth import IncompatibleColumn, grow
from include.lake.tables import ensure_tables
from local.lake.extensions import load_extensions

Hours = Callable[[float], datetime]


def columns(table: Any) -> dict[str, str]:
    return {field.name: str(field.field_type) for field in table.schema().fields}


def with_fields(object_file: Any, *names: str) -> Any:
    return object_file.model_copy(update={"fields": (*object_file.fields, *names)})


def test_tables_are_named_after_object_and_environment(user_object: Any) -> None:
    production = current_environment({"SF_HISTORY_ENV": "production"})
    assert RawTables.of(user_object, production) == RawTables(
        mirror="sf_raw_prod.sf_user",
        changes="sf_raw_prod.sf_user_changes",
        quarantine="sf_raw_prod.sf_user_quarantine",
        ledger="sf_curated_prod.sf_user_consumed",
        dimension="sf_curated_prod.dim_sf_user_scd",
        snapshot="sf_curated_prod.sf_user_snapshot",
    )


def test_columns_layout_and_properties(lake: Any) -> None:
    ensure_tables(lake.catalog, lake.object_file, lake.environment, lake.types)
    mirror, log, ledger = lake.table("mirror"), lake.table("changes"), lake.table("ledger")
    source = {"id", "name", "division", "audit_phase__c", "lastmodifieddate", "systemmodstamp", "isactive"}
    source |= {"isdeleted", "createddate"}
    tail = {"_extracted_at": "timestamptz", "_extraction_run_id": "string", "_row_hash": "string"}
    assert set(columns(mirror)) == source | set(tail)
    assert columns(mirror).items() >= {**tail, "isactive": "boolean", "createddate": "timestamptz"}.items()
    observation = {"_change": "string", "_window_end": "timestamptz", "_observed_columns": "string"}
    assert columns(log) == {**columns(mirror), **observation}
    assert list(columns(ledger).items()) == [
        ("_extraction_run_id", "string"),
        ("_extracted_at", "timestamptz"),
        ("observations", "long"),
        ("content", "long"),
    ]
    assert not any(field.required for table in (mirror, log, ledger) for field in table.schema().fields)
    assert mirror.spec().is_unpartitioned()
    assert [str(field.transform) for field in log.spec().fields] == ["day"]
    assert mirror.schema().find_column_name(mirror.sort_order().fields[0].source_id) == "id"
    assert mirror.format_version == log.format_version == 2
    assert mirror.properties["write.parquet.compression-codec"] == "snappy"
    assert mirror.properties["write.target-file-size-bytes"] == "134217728"


def test_many_may_create_the_same_tables_at_once(make_lake: Any) -> None:
    lake = make_lake()
    creators = 6
    start = threading.Barrier(creators)

    def create(_: int) -> Any:
        catalog = lake.connect()
        start.wait()
        return ensure_tables(catalog, lake.object_file, lake.environment, lake.types)

    with ThreadPoolExecutor(creators) as pool:
        assert set(pool.map(create, range(creators))) == {lake.tables}
    assert len(lake.catalog.list_tables("sf_raw")) == 2


def test_ensuring_again_changes_nothing(lake: Any) -> None:
    lake.run([lake.record("a", 1)], end=6)
    before = lake.table("mirror").metadata_location
    ensure_tables(lake.catalog, lake.object_file, lake.environment, lake.types)
    assert lake.table("mirror").metadata_location == before


def test_a_field_that_the_object_file_gains_becomes_a_column(lake: Any) -> None:
    lake.run([lake.record("a", 1), lake.record("b", 1)], end=6)
    hash_before = lake.mirror()["b"]["_row_hash"]
    lake.object_file = with_fields(lake.object_file, "Title", "Seats__c")
    lake.types = {**lake.types, "title": "string", "seats__c": "long"}
    record = lake.record("a", 7)
    manifest = lake.run([{**record, "title": "Manager", "seats__c": 3}, lake.record("b", 1)], start=0, end=12)
    assert (manifest.updated, manifest.unchanged) == (1, 1)
    mirror = lake.mirror()
    assert (mirror["a"]["title"], mirror["a"]["seats__c"]) == ("Manager", 3)
    assert (mirror["b"]["title"], mirror["b"]["_row_hash"]) == (None, hash_before)
    assert columns(lake.table("mirror"))["seats__c"] == columns(lake.table("changes"))["seats__c"] == "long"
    observed = [row["_observed_columns"] for row in lake.rows("changes") if row["id"] == "a"]
    assert ["title" in seen for seen in observed] == [False, True]


def test_a_field_the_org_does_not_show_gets_its_type_when_it_does(lake: Any) -> None:
    lake.object_file = with_fields(lake.object_file, "Seats__c")
    lake.types = {**lake.types, "seats__c": "string"}
    lake.run([lake.record("a", 1)], end=6, absent=["seats__c"])
    assert columns(lake.table("mirror"))["seats__c"] == "string"
    lake.types["seats__c"] = "long"
    lake.run([{**lake.record("a", 7), "seats__c": 5}], start=5, end=12)
    assert columns(lake.table("mirror"))["seats__c"] == "long"
    assert lake.mirror()["a"]["seats__c"] == 5
    lake.types["seats__c"] = "string"
    lake.run([lake.record("a", 13)], start=11, end=18, absent=["seats__c"])
    assert columns(lake.table("mirror"))["seats__c"] == "long"
    assert lake.mirror()["a"]["seats__c"] is None


def test_an_incompatible_type_is_refused_before_anything_is_written(lake: Any) -> None:
    lake.run([lake.record("a", 1, division="North")], end=6)
    before = lake.snapshots()
    lake.types["division"] = "double"
    with pytest.raises(IncompatibleColumn, match=r"sf_raw\.sf_user: column division is string .* double.*object file"):
        lake.run([{**lake.record("a", 7), "division": 1.5}], start=5, end=12)
    assert lake.snapshots() == before


@pytest.mark.parametrize(
    ("present", "wanted", "becomes"),
    [
        (IntegerType(), LongType(), "long"),
        (LongType(), IntegerType(), "long"),
        (DoubleType(), LongType(), "double"),
        (StringType(), StringType(), "string"),
        (StringType(), None, "string"),
        (LongType(), DoubleType(), None),
        (BooleanType(), StringType(), None),
        (StringType(), TimestamptzType(), None),
    ],
)
def test_types_that_widen_and_types_that_clash(
    lake: Any, present: IcebergType, wanted: IcebergType | None, becomes: str | None
) -> None:
    lake.catalog.create_namespace("n")
    table = lake.catalog.create_table("n.t", Schema(NestedField(1, "x", present, required=False)))
    if becomes is None:
        with pytest.raises(IncompatibleColumn, match=f"n.t: column x is {present}.* {wanted}"):
            grow(table, {"x": wanted})
    else:
        assert grow(table, {"x": wanted}) == (str(present) != becomes)
        assert columns(lake.catalog.load_table("n.t")) == {"x": becomes}


def test_duckdb_reads_what_was_written(lake: Any, hours_of: Hours) -> None:
    lake.run([lake.record("a", 1, division="North"), lake.record("b", 1)], end=6)
    lake.object_file = with_fields(lake.object_file, "Title")
    lake.types = {**lake.types, "title": "string"}
    lake.run([{**lake.record("a", 7, division="South"), "title": "Manager"}], start=5, end=12)
    lake.run([{**lake.record("a", 7, division="South"), "title": "Manager"}], end=18)
    with duckdb.connect() as connection:
        load_extensions(connection, lake.folder / "extensions")
        connection.execute("SET TimeZone = 'UTC'")
        mirror, log = (lake.table(name).metadata_location for name in ("mirror", "changes"))
        found = connection.execute(
            "select id, division, title, isdeleted, systemmodstamp from iceberg_scan(?) order by id", [mirror]
        ).fetchall()
        assert [row[:4] for row in found] == [("a", "South", "Manager", False), ("b", None, None, True)]
        assert [row[4] for row in found] == [hours_of(7), hours_of(18)]
        logged = connection.execute("select id, _change, title from iceberg_scan(?) order by all", [log]).fetchall()
        assert logged == [
            ("a", "upsert", "Manager"),
            ("a", "upsert", None),
            ("b", "delete", None),
            ("b", "upsert", None),
        ]


def test_a_provisional_type_that_proves_right_is_no_longer_provisional(lake: Any) -> None:
    """Else a later change of the field's type would drop the column, and the values that it holds by then."""
    lake.run([lake.record("005", 1)], end=2, absent=["division"])
    lake.run([lake.record("005", 3, division="North")], end=4, start=1)
    with pytest.raises(IncompatibleColumn, match="division is string"):
        grow(lake.table("mirror"), {"division": DoubleType()})
    assert lake.mirror()["005"]["division"] == "North"
    before = lake.table("mirror").metadata.current_schema_id
    lake.run([lake.record("005", 5, division="South")], end=6, start=3)
    assert lake.table("mirror").metadata.current_schema_id == before
