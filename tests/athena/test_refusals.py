"""What Athena does not do, and the endpoint therefore neither: one test each, with the page of AWS that says so."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.athena.asking import RESULTS, Asking, QueryFailed
from tests.athena.dialect import LONGEST

pytestmark = pytest.mark.athena


def ctas(database: str, query: str, *more: str, kind: str = "ICEBERG") -> str:
    place = "location" if kind == "ICEBERG" else "external_location"
    external = "false" if kind == "ICEBERG" else "true"
    given = [f"table_type='{kind}'", f"is_external={external}", f"{place}='s3://athena-data/{database}/t'", *more]
    return f"create table t with ({', '.join(given)}) as {query}"


def refused(ask: Asking, sql: str, **more: Any) -> str:
    """What StartQueryExecution says."""
    with pytest.raises(ClientError) as error:
        ask.start(sql, **more)
    assert error.value.response["Error"]["Code"] == "InvalidRequestException"
    return str(error.value.response["Error"]["Message"])


def failed(ask: Asking, sql: str) -> str:
    """Why a query ends as FAILED."""
    with pytest.raises(QueryFailed) as error:
        ask(sql)
    return str(error.value)


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp with time zone", "time"])
def test_a_timestamp_with_time_zone_in_create_table(ask: Asking, database: str, kind: str) -> None:
    """Supported data types for Iceberg tables in Athena: DDL has timestamp without time zone only.

    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-supported-data-types.html
    """
    said = refused(
        ask,
        f"create table t (a {kind}) location 's3://athena-data/{database}/t' tblproperties ('table_type'='ICEBERG')",
    )
    assert f"cannot recognize input near '{kind}'" in said
    assert kind in refused(ask, f"alter table t add columns (b {kind})")


def test_a_timestamp_with_time_zone_in_ctas(ask: Asking, database: str) -> None:
    """Supported data types for Iceberg tables in Athena.

    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-supported-data-types.html
    """
    said = failed(ask, ctas(database, "select at_timezone(timestamp '2026-01-01 00:00:00.000000 UTC', 'UTC') as at"))
    assert said.startswith("NOT_SUPPORTED: Invalid column type for column at: Unsupported Hive type: timestamp(6) with")


def test_a_timestamp_with_time_zone_in_a_view(ask: Asking) -> None:
    """CREATE VIEW: a view's columns are in the Data Catalog, whose types are Hive's. Data types in Amazon Athena.

    https://docs.aws.amazon.com/athena/latest/ug/data-types.html
    """
    assert "Unsupported Hive type" in failed(ask, "create view v as select current_timestamp as at")


def test_milliseconds_in_an_iceberg_table(ask: Asking, database: str) -> None:
    """Athena engine version 3, changes: Iceberg's timestamps have microseconds, and others are to be cast.

    https://docs.aws.amazon.com/athena/latest/ug/engine-versions-reference-0003.html
    """
    said = failed(ask, ctas(database, "select timestamp '2026-01-01 00:00:00.000' as at"))
    assert said == 'NOT_SUPPORTED: Timestamp precision (3) not supported for Iceberg. Use "timestamp(6)" instead.'


def test_microseconds_in_a_hive_table(ask: Asking, database: str) -> None:
    """Athena engine version 3, changes: Hive's timestamps have milliseconds (dbt-adapters #424 meets it).

    https://docs.aws.amazon.com/athena/latest/ug/engine-versions-reference-0003.html
    """
    said = failed(ask, ctas(database, "select timestamp '2026-01-01 00:00:00.000000' as at", kind="HIVE"))
    assert "Incorrect timestamp precision for timestamp(6); the configured precision is MILLISECONDS" in said


def test_create_or_replace_table(ask: Asking, database: str) -> None:
    """CREATE TABLE AS: the synopsis has no OR REPLACE.

    https://docs.aws.amazon.com/athena/latest/ug/create-table-as.html
    """
    said = refused(ask, ctas(database, "select 1 as a").replace("create", "create or replace"))
    assert said == "line 1:19: mismatched input 'table'. Expecting: 'VIEW'"


def test_more_than_a_hundred_partitions_in_one_write(ask: Asking, database: str) -> None:
    """Use CTAS and INSERT INTO to work around the 100 partition limit.

    https://docs.aws.amazon.com/athena/latest/ug/ctas-insert-into.html
    """
    many = "select n, n % 101 as p from unnest(sequence(1, 202)) as t (n)"
    said = failed(ask, ctas(database, many, "partitioning=ARRAY['p']"))
    assert said.startswith("ICEBERG_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of 100 open writers for partitions")
    ask(ctas(database, many.replace("101", "100"), "partitioning=ARRAY['p']").replace("/t'", "/u'"))
    assert "TOO_MANY_OPEN_PARTITIONS" in failed(ask, f"insert into t {many.replace('n % 101', 'n % 101 + 200')}")


def test_a_table_property_that_ctas_does_not_know(ask: Asking, database: str) -> None:
    """CREATE TABLE AS, CTAS table properties.

    https://docs.aws.amazon.com/athena/latest/ug/create-table-as.html
    """
    said = failed(ask, ctas(database, "select 1 as a", "sorted_by=ARRAY['a']"))
    assert said == "INVALID_TABLE_PROPERTY: Catalog 'awsdatacatalog' table property 'sorted_by' does not exist"
    assert "'partitioned_by' does not exist" in failed(
        ask, ctas(database, "select 1 as a", "partitioned_by=ARRAY['a']")
    )


def test_a_table_property_that_create_table_or_alter_table_does_not_know(ask: Asking, database: str) -> None:
    """ALTER TABLE SET TBLPROPERTIES: Athena does not accept custom table properties. Create Iceberg tables.

    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-alter-table-set-properties.html
    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-creating-tables.html
    """
    ask(ctas(database, "select 1 as a"))
    said = failed(ask, "alter table t set tblproperties ('history.expire.max-snapshot-age-ms'='1')")
    assert said == "INVALID_TABLE_PROPERTY: Unsupported table property key: history.expire.max-snapshot-age-ms"
    table = f"create table u (a int) location 's3://athena-data/{database}/u' tblproperties ('table_type'='ICEBERG'"
    assert "Unsupported table property key: owner" in failed(ask, f"{table}, 'owner'='me')")


def test_an_external_iceberg_table(ask: Asking, database: str) -> None:
    """Create Iceberg tables: CREATE EXTERNAL TABLE is refused. CTAS: is_external is to be false.

    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-creating-tables.html
    """
    place = f"location 's3://athena-data/{database}/t'"
    table = f"create external table t (a int) {place} tblproperties ('table_type'='ICEBERG')"
    assert refused(ask, table) == "External keyword not supported for table type ICEBERG"
    assert "is_external" in failed(
        ask, ctas(database, "select 1 as a").replace("is_external=false", "is_external=true")
    )


def test_an_iceberg_table_without_a_place(ask: Asking) -> None:
    """CREATE TABLE AS, CTAS table properties: location is that of an Iceberg table, external_location a Hive table's.

    https://docs.aws.amazon.com/athena/latest/ug/create-table-as.html
    """
    assert "location" in failed(ask, "create table t with (table_type='ICEBERG', is_external=false) as select 1 as a")


def test_a_statement_that_is_too_long(ask: Asking) -> None:
    """Service Quotas: the maximum allowed query string length is 262144 bytes.

    https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
    """
    room = LONGEST - len("select ''")
    assert ask(f"select '{'x' * room}'"[:LONGEST])
    said = refused(ask, f"select '{'é' * (room // 2 + 1)}'")
    assert f"less than or equal to {LONGEST}" in said


def test_two_statements_at_once(ask: Asking) -> None:
    """StartQueryExecution: runs the SQL query statements contained in the Query, of which there is one.

    https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html
    """
    assert refused(ask, "select 1; select 2").startswith("Only one sql statement is allowed. Got: select 1; select 2")
    assert ask("select 1 as a;") == [{"a": "1"}]


def test_a_workgroup_that_is_not_there(ask: Asking) -> None:
    """StartQueryExecution, WorkGroup; Troubleshoot workgroup errors.

    https://docs.aws.amazon.com/athena/latest/ug/workgroups-troubleshooting.html
    """
    assert refused(ask, "select 1", WorkGroup="nobodys") == "WorkGroup nobodys is not found."


def test_double_quotes_in_ddl_and_backticks_in_queries(ask: Asking, database: str) -> None:
    """Escape reserved keywords: backticks in DDL, double quotes in queries.

    https://docs.aws.amazon.com/athena/latest/ug/reserved-words.html
    """
    ask(ctas(database, "select 1 as a"))
    assert "mismatched input '\"t\"'" in refused(ask, 'drop table "t"')
    assert "mismatched input" in refused(ask, 'vacuum "t"')
    assert "backquoted identifiers are not supported" in failed(ask, "select * from `t`")


@pytest.mark.parametrize(
    "sql", ["truncate table t", "commit", "grant select on t to r", "call system.x()", "set role r"]
)
def test_statements_of_other_kinds(ask: Asking, sql: str) -> None:
    """Unsupported DDL; Considerations and limitations for SQL queries in Amazon Athena.

    https://docs.aws.amazon.com/athena/latest/ug/unsupported-ddl.html
    https://docs.aws.amazon.com/athena/latest/ug/other-notable-limitations.html
    """
    assert refused(ask, sql) == "Queries of this type are not supported"


def test_metadata_tables_that_athena_has_not(ask: Asking, database: str) -> None:
    """Query Iceberg table metadata: $files, $manifests, $history, $partitions, $snapshots, $refs.

    https://docs.aws.amazon.com/athena/latest/ug/querying-iceberg-table-metadata.html
    """
    ask(ctas(database, "select 1 as a"))
    assert ask('select count(*) as n from "t$files"') == [{"n": "1"}]
    assert "Unsupported Iceberg metadata table" in refused(ask, 'select * from "t$properties"')


def test_a_results_bucket_that_is_not_there(ask: Asking) -> None:
    """Troubleshoot: Unable to verify/create output bucket.

    https://docs.aws.amazon.com/athena/latest/ug/troubleshooting-athena.html
    """
    execution = ask.client.start_query_execution(
        QueryString="select 1", ResultConfiguration={"OutputLocation": f"s3://no-{RESULTS}/"}
    )["QueryExecutionId"]
    status = ask.end(execution)["Status"]
    assert status["State"] == "FAILED"
    assert "Unable to verify/create output bucket" in status["StateChangeReason"]
