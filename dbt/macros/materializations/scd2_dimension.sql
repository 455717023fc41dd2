{#- Publishes versions into a dimension: one MERGE, one commit, whatever the run. The model's SQL gives all versions of
    some records (config record_key); of exactly these records the dimension holds exactly these versions afterwards.
    With --full-refresh the SQL gives all records, and rows of any other one go too. The table is never dropped.

    A changed row is written as a deletion and an insertion of the same MERGE, because DuckDB's Iceberg MERGE takes only
    one updating action; an engine does the same underneath. Rows that are equal but for _dbt_updated_at are left alone,
    so a re-run commits nothing. Where observations have arrived in order, only current rows are read
    (scd2_merge.sql).

    The dimension follows its contract by growing: on_schema_change is append_new_columns, and nothing else is possible.
    Dropping a column would drop what it alone remembers, and ignoring one would break the contract.

    After the commit the ledger is told of the batches that were merged: those of the build that the versions were worked
    out from, noted before the MERGE. If another run has built the intermediate tables anew meanwhile, nothing matches and
    the batches are consumed again. With --empty nothing is merged: what was not read has not gone. -#}
{% materialization scd2_dimension, default -%}
    {%- set target_relation = this.incorporate(type='table') -%}
    {%- set existing_relation = load_cached_relation(this) -%}
    {%- set changes, versions = ref(config.require('changes')), ref(config.require('versions')) -%}
    {%- set build = none if flags.EMPTY else scd2_build_of(versions) -%}
    {%- set record_key = config.require('record_key') -%}
    {%- do scd2_require_append_new_columns() -%}

    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {%- if existing_relation is none -%}
        {#- Committed on its own: an empty dimension is a state that every reader and every re-run understands. -#}
        {%- do scd2_create_dimension(target_relation, 'select * from (' ~ sql ~ ') as versions where false') -%}
        {%- do adapter.commit() -%}
    {%- else -%}
        {%- do get_assert_columns_equivalent(sql) -%}
        {%- do scd2_append_new_columns(target_relation) -%}
        {%- do scd2_refuse_partial_rebuild(target_relation, versions, build) -%}
    {%- endif -%}

    {%- set current_rows = scd2_current_rows(target_relation, versions, record_key) if scd2_may_follow_on(build) -%}
    {%- call statement('main') -%}
        {%- if flags.EMPTY -%} select 'nothing was read, so nothing is merged' as skipped
        {%- elif current_rows and scd2_follows_on(versions, record_key, current_rows) -%}
            {{ scd2_merge_following(target_relation, sql, record_key, versions, current_rows) }}
        {%- else -%} {{ scd2_merge(target_relation, sql, record_key, versions if should_full_refresh(), build) }}
        {%- endif -%}
    {%- endcall -%}

    {%- do persist_docs(target_relation, model) -%}
    {%- do adapter.commit() -%}

    {%- if build -%}
        {%- call statement('record_consumed', auto_begin=False) -%}
            {{ scd2_record_consumed(changes, source('sf_ledger', config.require('ledger')), build) }}
        {%- endcall -%}
    {%- endif -%}

    {{ run_hooks(post_hooks, inside_transaction=False) }}

    {{ return({'relations': [target_relation]}) }}
{%- endmaterialization %}


{#- A rebuild deletes what its versions lack, so these must be the versions of all records: built by the same kind of call,
    and not empty while the dimension has rows. -#}
{% macro scd2_refuse_partial_rebuild(dimension, versions, build) -%}
    {%- if not should_full_refresh() or flags.EMPTY or (build or '').endswith(' all') -%} {{ return(none) }} {%- endif -%}
    {%- if run_query('select 1 as one from ' ~ dimension ~ ' limit 1').rows | length -%}
        {%- do exceptions.raise_compiler_error(
            dimension ~ ' is not rebuilt: ' ~ versions ~ (
                ' holds the versions of some records only, and all others would be deleted. '
                if build else ' is empty, and everything would be deleted. Is the changes log the right one? '
            ) ~ 'Build the intermediate models in the same call: dbt build --full-refresh --select +' ~ dimension.identifier
        ) -%}
    {%- endif -%}
{%- endmacro %}


{#- Creates the empty dimension with the contract's types, partitioned. -#}
{% macro scd2_create_dimension(relation, empty_sql) -%}
    {{ return(adapter.dispatch('scd2_create_dimension', 'sf_history')(relation, empty_sql)) }}
{%- endmacro %}

{#- The adapter's own CREATE TABLE knows location, format and partitioning (model config). -#}
{% macro default__scd2_create_dimension(relation, empty_sql) -%}
    {%- call statement('create_dimension') -%}
        {{ create_table_as(False, relation, empty_sql) }}
    {%- endcall -%}
{%- endmacro %}

{% macro trino__scd2_create_dimension(relation, empty_sql) -%}
    {%- do get_assert_columns_equivalent(empty_sql) -%}
    {%- call statement('create_dimension') -%}
        create table {{ relation }} {{ get_table_columns_and_constraints() }}
        with (format = 'PARQUET', partitioning = array['{{ config.get('partitioned_by') | join("', '") }}'])
    {%- endcall -%}
{%- endmacro %}

{#- One statement, one commit: a run that dies between two would leave a dimension that is never partitioned. -#}
{% macro duckdb__scd2_create_dimension(relation, empty_sql) -%}
    {%- do get_assert_columns_equivalent(empty_sql) -%}
    {%- call statement('create_dimension', auto_begin=False) -%}
        create table {{ relation }} {{ get_table_columns_and_constraints() }}
        partitioned by ({{ config.get('partitioned_by') | join(', ') }})
    {%- endcall -%}
{%- endmacro %}


{#- How a dimension is partitioned, as the engine spells it: by is_current, and by bucket of the record. -#}
{% macro scd2_partitioning(record_key, buckets=8) -%}
    {{ return(adapter.dispatch('scd2_partitioning', 'sf_history')(record_key, buckets)) }}
{%- endmacro %}

{% macro default__scd2_partitioning(record_key, buckets) -%}
    {{ return(['is_current', 'bucket(' ~ record_key ~ ', ' ~ buckets ~ ')']) }}
{%- endmacro %}

{% macro duckdb__scd2_partitioning(record_key, buckets) -%}
    {{ return(['is_current', 'bucket(' ~ buckets ~ ', ' ~ record_key ~ ')']) }}
{%- endmacro %}


{#- Refuses every on_schema_change that this materialisation cannot honour. -#}
{% macro scd2_require_append_new_columns() -%}
    {%- set chosen = config.get('on_schema_change') -%}
    {%- if chosen != 'append_new_columns' -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ ": on_schema_change is '" ~ chosen ~ "'; a dimension of versions allows only "
            ~ "'append_new_columns'. Columns are added, never dropped: the old ones keep what the past was. "
            ~ "Set on_schema_change='append_new_columns' in the model's config.") }}
    {%- endif -%}
{%- endmacro %}


{#- Adds the columns that the model has and the table lacks (a field that was added to the object). -#}
{% macro scd2_append_new_columns(relation) -%}
    {%- set there = adapter.get_columns_in_relation(relation) | map(attribute='name') | map('lower') | list -%}
    {%- set missing = [] -%}
    {%- for column in model.columns.values() if column.name | lower not in there -%}
        {%- do missing.append(api.Column(column.name, column.data_type)) -%}
    {%- endfor -%}
    {%- if missing -%}
        {%- do log('Adding to ' ~ relation ~ ': ' ~ missing | map(attribute='name') | join(', '), info=true) -%}
        {%- do scd2_add_columns(relation, missing) -%}
        {%- do commit_ddl() -%}
    {%- endif -%}
{%- endmacro %}


{#- Adds columns to a table. -#}
{% macro scd2_add_columns(relation, columns) -%}
    {{ return(adapter.dispatch('scd2_add_columns', 'sf_history')(relation, columns)) }}
{%- endmacro %}

{% macro default__scd2_add_columns(relation, columns) -%}
    {%- do alter_relation_add_remove_columns(relation, columns, none) -%}
{%- endmacro %}

{#- Athena's DDL is Hive's: ADD COLUMNS, backticks, types of its own. dbt-athena has that beside dbt's macro. -#}
{% macro athena__scd2_add_columns(relation, columns) -%}
    {%- do alter_relation_add_columns(relation, columns, 'iceberg') -%}
{%- endmacro %}
