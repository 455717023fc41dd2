"""Statements as they are read, without an engine: nothing inside a string, a name or a comment is touched."""

from __future__ import annotations

import pytest

from tests.athena.answers import Refused
from tests.athena.dialect import in_trino, plan
from tests.athena.tokens import Reader, statements, tokens


@pytest.mark.parametrize(
    "sql",
    [
        "select 'it''s; -- `a`.x' as a, \"b;\"\"c\" -- awsdatacatalog.y; '\nfrom t /* ; ' */ where x = 1.5e3",
        "merge into t using (select 1) s on true when matched then delete",
        "",
        "select U&'\\0041', 1..2, ?",
    ],
)
def test_tokens_are_the_text(sql: str) -> None:
    assert "".join(token.text for token in tokens(sql)) == sql


def test_a_semicolon_in_a_string_a_name_or_a_comment_divides_nothing() -> None:
    assert statements("select ';' as \"a;b\" -- c;d\n; /* e;f */ ;\n-- g") == ["select ';' as \"a;b\" -- c;d"]


def test_the_glue_catalog_has_another_name_in_trino() -> None:
    said = (
        "select 'awsdatacatalog.x', awsdatacatalog from \"AwsDataCatalog\".d.t, awsdatacatalog . u -- awsdatacatalog.z"
    )
    right = 'select \'awsdatacatalog.x\', awsdatacatalog from "iceberg".d.t, "iceberg" . u -- awsdatacatalog.z'
    assert in_trino(said) == right


@pytest.mark.parametrize(
    ("sql", "kind", "sub"),
    [
        ("-- a comment\nselect 1", "DML", "SELECT"),
        ("with a as (select 1) select * from a;", "DML", "SELECT"),
        ("(select 1) union all (select 2)", "DML", "SELECT"),
        ("merge into t using s on a = b when matched then delete", "DML", "MERGE"),
        ("create table t with (table_type='iceberg') as select 1", "DDL", "CREATE_TABLE_AS_SELECT"),
        ("create table if not exists a.t (x int) location 's3://b/c' tblproperties ('table_type'='ICEBERG')", "DDL",
         "CREATE_TABLE"),
        ("create or replace view v as select 1", "DDL", "CREATE_VIEW"),
        ("drop view if exists \"a\".\"v\"", "DDL", "DROP_VIEW"),
        ("drop table if exists `a`.`t`", "DDL", "DROP_TABLE"),
        ("alter table `a`.`t` add columns (`x` string, y array<struct<z:int>>)", "DDL", "ALTER_TABLE"),
        ("OPTIMIZE a.t REWRITE DATA USING BIN_PACK where x = 1", "DML", "OPTIMIZE"),
        ("vacuum a.t", "DML", "VACUUM"),
        ("show tables in a", "UTILITY", "SHOW"),
        ("describe a.t", "UTILITY", "DESCRIBE"),
        ("explain select 1", "UTILITY", "EXPLAIN"),
    ],
)  # fmt: skip
def test_a_statement_has_its_types(sql: str, kind: str, sub: str) -> None:
    found = plan(sql)
    assert (found.kind, found.sub) == (kind, sub)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (
            "create table t with (format 'parquet') as select 1",
            "line 1:29: mismatched input ''parquet''. Expecting: '='",
        ),
        ("create table t with (write.data.path = 'x') as select 1", "line 1:27: mismatched input '.'. Expecting: '='"),
        ("create table t with (format = 'parquet'", "line 1:40: mismatched input '<EOF>'"),
        ("optimize t rewrite manifests", "line 1:12: mismatched input 'rewrite'. Expecting: 'REWRITE'"),
        ("alter table t add columns (x int", "mismatched input '<EOF>'"),
        ("alter table t set tblproperties (a = 1)", "table properties are 'name'='value'"),
        ("  -- nothing\n;", "line 1:1: mismatched input '<EOF>'"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(sql: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        plan(sql)
    assert says in str(refused.value)


def test_names_are_lower_case_and_may_be_quoted_either_way() -> None:
    assert Reader('"AwsDataCatalog"."Db".T rest').name() == ("awsdatacatalog", "db", "t")
    assert Reader("`Db`.`T`").name() == ("db", "t")
