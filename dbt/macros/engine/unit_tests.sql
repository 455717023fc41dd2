{#- The empty table by which a unit test learns the types of a model. dbt-athena would make it a Hive table, which has no
    microseconds (dbt-adapters #424); only unit tests come by here, models have create_table_as. -#}
{% macro athena__get_create_table_as_sql(temporary, relation, sql) -%}
create table {{ relation }}
with (
    table_type = 'iceberg',
    is_external = false,
    location = '{{ adapter.generate_s3_location(relation, target.s3_data_dir, target.s3_data_naming) }}',
    format = 'parquet'
)
as
{{ sql }}
{%- endmacro %}


{#- A value of a unit test's rows. dbt-athena takes the type from Glue, which has one `timestamp` for all: milliseconds to
    Athena, and without a zone where the table has one. Every moment of this project is UTC to the microsecond. -#}
{% macro athena__safe_cast(field, type) -%}
    {%- if type.startswith('timestamp') -%}
        cast(at_timezone(cast({{ field }} as timestamp(6) with time zone), 'UTC') as timestamp(6))
    {%- else -%}
        cast({{ field }} as {{ type }})
    {%- endif -%}
{%- endmacro %}
