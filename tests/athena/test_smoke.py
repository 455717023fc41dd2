import pytest
pytestmark = pytest.mark.athena
def test_it(ask, database, glue):
    assert ask("select 1 as a, 'x' as b, cast(null as varchar) as c, timestamp '2026-01-01 00:00:00.000001' as t, array[1,2] as r") == [{"a":"1","b":"x","c":None,"t":"2026-01-01 00:00:00.000001","r":"[1, 2]"}]
def test_ctas(ask, database, glue):
    ask(f"""create table "awsdatacatalog"."{database}"."t" with (table_type='iceberg', is_external=false, location='s3://athena-data/{database}/t', partitioning=ARRAY['bucket(a, 8)'], format='parquet', write_compression='zstd', vacuum_min_snapshots_to_keep=3) as select 'x' as a, cast('2026-01-01' as timestamp(6)) as t""")
    ask(f"alter table `{database}`.`t` add columns (`n` string, d timestamp)")
    ask(f"optimize {database}.t rewrite data using bin_pack")
    ask(f"ALTER TABLE {database}.t SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds'='1')")
    ask(f"vacuum {database}.t")
    print(ask("select * from t"), ask("describe t"), ask('select * from "t$snapshots"'))
    ask("create or replace view v as select * from awsdatacatalog.%s.t" % database)
    print(ask("select * from v"))
    print(glue.get_tables(DatabaseName=database)["TableList"])
    ask(f"alter table `{database}`.`t` rename to `{database}`.`u`")
    ask(f"drop table `u`")
    assert 0
