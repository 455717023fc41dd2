{#- Commits tables that were changed or dropped, where the engine does so in a transaction. On Trino and Athena every
    statement is one of its own, and dbt refuses to commit what was not begun. -#}
{% macro commit_ddl() -%}
    {{ return(adapter.dispatch('commit_ddl', 'sf_history')()) }}
{%- endmacro %}

{% macro default__commit_ddl() -%} {%- endmacro %}

{% macro duckdb__commit_ddl() -%}
    {%- do adapter.commit() -%}
{%- endmacro %}
