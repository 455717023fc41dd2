"""Athena's API as its clients use it: executions, results by page and on S3, stopping, workgroups, catalogs."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.athena.asking import RESULTS, Asking
from tests.athena.endpoint import Athena

pytestmark = pytest.mark.athena


def refused(call: Any, **asked: Any) -> str:
    """What InvalidRequestException says."""
    with pytest.raises(ClientError) as error:
        call(**asked)
    assert error.value.response["Error"]["Code"] == "InvalidRequestException"
    return str(error.value.response["Error"]["Message"])


def test_values_are_text_and_null_is_none(ask: Asking) -> None:
    query = """select 1 as a, 'x' as b, cast(null as varchar) as c, timestamp '2026-01-01 00:00:00.000001' as t,
        array[1, 2] as r, true as f, cast(1.50 as decimal(9, 2)) as d, x'6162' as v, row(1, null) as w,
        timestamp '2026-01-01 00:00:00 UTC' as z"""
    assert ask(query) == [
        {
            "a": "1", "b": "x", "c": None, "t": "2026-01-01 00:00:00.000001", "r": "[1, 2]", "f": "true", "d": "1.50",
            "v": "61 62", "w": "[1, null]", "z": "2026-01-01 00:00:00 UTC",
        }
    ]  # fmt: skip


def test_results_come_by_page_and_the_first_row_names_the_columns(ask: Asking) -> None:
    execution = ask.start("select n from unnest(sequence(1, 25)) as t (n)")
    ask.end(execution)
    first = ask.client.get_query_results(QueryExecutionId=execution, MaxResults=10)
    assert [row["Data"][0]["VarCharValue"] for row in first["ResultSet"]["Rows"]] == ["n", *map(str, range(1, 10))]
    assert first["ResultSet"]["ResultSetMetadata"]["ColumnInfo"][0]["Type"] == "bigint"
    pages = ask.client.get_paginator("get_query_results").paginate(
        QueryExecutionId=execution, PaginationConfig={"PageSize": 10}
    )
    assert [len(page["ResultSet"]["Rows"]) for page in pages] == [10, 10, 6]


def test_results_are_left_on_s3(ask: Asking, s3: Any) -> None:
    execution = ask.start("""select 'say "hi"' as a, cast(null as varchar) as b, '' as c""")
    ended = ask.end(execution)
    assert ended["ResultConfiguration"]["OutputLocation"] == f"s3://{RESULTS}/tests/{execution}.csv"
    content = s3.get_object(Bucket=RESULTS, Key=f"tests/{execution}.csv")["Body"].read().decode()
    assert content == '"a","b","c"\n"say ""hi""",,""\n'
    assert s3.head_object(Bucket=RESULTS, Key=f"tests/{execution}.csv.metadata")


def test_a_request_that_is_sent_twice_starts_one_query(ask: Asking) -> None:
    token = "a-token-of-at-least-thirty-two-letters"
    first = ask.start("select 1", ClientRequestToken=token)
    assert ask.start("select 1", ClientRequestToken=token) == first
    assert ask.start("select 1") != first
    said = refused(
        ask.client.start_query_execution,
        QueryString="select 2",
        ClientRequestToken=token,
        ResultConfiguration={"OutputLocation": f"s3://{RESULTS}/"},
    )
    assert said == "Idempotent parameters do not match"


def test_a_query_that_is_stopped_ends_as_cancelled(ask: Asking) -> None:
    slow = "select count(*) from " + ", ".join(f"unnest(sequence(1, 9999)) as {name} (n)" for name in "abc")
    execution = ask.start(slow)
    said = refused(ask.client.get_query_results, QueryExecutionId=execution)
    assert said.startswith("Query has not yet finished")
    ask.client.stop_query_execution(QueryExecutionId=execution)
    status = ask.end(execution)["Status"]
    assert (status["State"], status["StateChangeReason"]) == ("CANCELLED", "Query has been cancelled by user")
    ask.client.stop_query_execution(QueryExecutionId=execution)


def test_a_failed_query_says_why_in_the_words_of_the_error_catalogue(ask: Asking) -> None:
    status = ask.end(ask.start("select * from nobody"))["Status"]
    assert status["State"] == "FAILED"
    assert status["StateChangeReason"].startswith("TABLE_NOT_FOUND: line 1:15: Table")
    assert status["AthenaError"]["ErrorCategory"] == 2
    assert status["AthenaError"]["ErrorMessage"] == status["StateChangeReason"]


def test_a_write_says_how_many_rows(ask: Asking, database: str) -> None:
    ask(f"create table t with (table_type='ICEBERG', is_external=false, location='s3://athena-data/{database}/t') "
        "as select 1 as a")  # fmt: skip
    execution = ask.start("insert into t values 2, 3")
    ended = ask.end(execution)
    assert (ended["StatementType"], ended["SubstatementType"]) == ("DML", "INSERT")
    answer = ask.client.get_query_results(QueryExecutionId=execution)
    assert (answer["UpdateCount"], answer["ResultSet"]["Rows"]) == (2, [])
    assert ask("select count(*) as n from t") == [{"n": "3"}]


def test_what_is_not_known_is_refused(ask: Asking) -> None:
    assert "was not found" in refused(ask.client.get_query_execution, QueryExecutionId="none")
    assert "was not found" in refused(ask.client.get_data_catalog, Name="elsewhere")
    assert ask.client.get_data_catalog(Name="AwsDataCatalog")["DataCatalog"]["Type"] == "GLUE"
    assert "primary" in [group["Name"] for group in ask.client.list_work_groups()["WorkGroups"]]
    assert "output location is required" in refused(ask.client.start_query_execution, QueryString="select 1")


def test_a_workgroup_may_insist_on_its_own_place_and_limit(athena: Athena, ask: Asking, s3: Any, database: str) -> None:
    configuration = {
        "EnforceWorkGroupConfiguration": True,
        "ResultConfiguration": {"OutputLocation": f"s3://{RESULTS}/of-the-group/"},
        "BytesScannedCutoffPerQuery": 10_000_000,
    }
    name = f"group-{database}"
    ask.client.create_work_group(Name=name, Configuration=configuration)
    assert ask.client.get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"]["EnforceWorkGroupConfiguration"]
    execution = ask.start("select 1", WorkGroup=name)
    assert ask.end(execution)["ResultConfiguration"]["OutputLocation"] == f"s3://{RESULTS}/of-the-group/{execution}.csv"


def test_glue_has_what_athena_leaves_there(ask: Asking, glue: Any, database: str) -> None:
    """Iceberg tables and views in the Data Catalog, which dbt-athena reads without asking Athena."""
    ask(f"create table t with (table_type='ICEBERG', is_external=false, location='s3://athena-data/{database}/t') "
        "as select 1 as a, cast('x' as varchar) as b")  # fmt: skip
    ask("create or replace view v as select a, b, timestamp '2026-01-01 00:00:00.000000' as c from t")
    ask("create or replace view v as select a, b from t")
    found = {table["Name"]: table for table in glue.get_tables(DatabaseName=database)["TableList"]}
    assert found["t"]["TableType"] == "EXTERNAL_TABLE"
    assert found["t"]["Parameters"]["table_type"] == "ICEBERG"
    assert found["t"]["Parameters"]["metadata_location"].startswith(f"s3://athena-data/{database}/t/metadata/")
    assert found["v"]["TableType"] == "VIRTUAL_VIEW"
    assert [(one["Name"], one["Type"]) for one in found["v"]["StorageDescriptor"]["Columns"]] == [
        ("a", "int"),
        ("b", "string"),
    ]
    versions = glue.get_table_versions(DatabaseName=database, TableName="v")["TableVersions"]
    assert all("StorageDescriptor" in one["Table"] for one in versions)
    assert ask("select * from v") == [{"a": "1", "b": "x"}]


def test_ddl_of_an_iceberg_table_from_beginning_to_end(ask: Asking, database: str) -> None:
    ask(f"""create table {database}.`t` (id string comment 'its id', at timestamp, tags array<string>, n int)
        partitioned by (bucket(8, id), day(at)) location 's3://athena-data/{database}/t/'
        tblproperties ('table_type'='ICEBERG', 'format'='parquet', 'write_compression'='snappy',
        'vacuum_min_snapshots_to_keep'='2')""")
    ask("insert into t values ('a', timestamp '2026-01-01 00:00:00', array['x'], 1)")
    ask(f"alter table `{database}`.`t` add columns (`b` boolean, `s` struct<x:int,y:string>)")
    ask("alter table t change column n m bigint")
    ask("alter table t drop column b")
    ask("alter table t set tblproperties ('vacuum_max_snapshot_age_seconds'='0')")
    ask("insert into t values ('b', timestamp '2026-01-02 00:00:00', array['y'], 2, row(1, 'z'))")
    ask("optimize t rewrite data using bin_pack")
    ask("vacuum t")
    assert [line["result"].split()[0] for line in ask("describe t") if line["result"]] == ["id", "at", "tags", "m", "s"]
    assert [line["result"] for line in ask("show tblproperties t")] == [
        "vacuum_max_snapshot_age_seconds\t0",
        "vacuum_min_snapshots_to_keep\t2",
        "write_compression\tsnappy",
    ]
    assert ask('select count(*) as n from "t$snapshots"') == [{"n": "2"}]
    ask(f"alter table t rename to `{database}`.`u`")
    assert [line["result"] for line in ask(f"show tables in {database}")] == ["u"]
    assert ask("select id, m from u order by 1") == [{"id": "a", "m": "1"}, {"id": "b", "m": "2"}]
    ask("drop table if exists u")
    ask("drop table if exists u")
