{#- The MERGE that always works. Trino, Athena and DuckDB all take it as it is. A source row says which row of the target it replaces: the
    row to delete, or null for a row to insert, which therefore matches nothing. As a join of equalities it is hashed;
    a condition on the source alone would make DuckDB compare every row with every other.

    In a rebuild `versions` is the table that the SQL reads: rows go only while it still holds the build that was asked
    for, so that a run beside this one, which builds it for a few records, takes nothing away. -#}
{% macro scd2_merge(target, wanted_sql, record_key, versions, build) -%}
    {%- set columns = model.columns.values() | map(attribute='name') | list -%}
    {%- set same -%}
        present.{{ record_key }} = wanted.{{ record_key }} and present._scd_id = wanted._scd_id
    {%- endset -%}
    {%- set differs -%}
        {%- for column in columns if column not in (record_key, '_scd_id', '_dbt_updated_at') -%}
            {{ ' or ' if not loop.first }}present.{{ column }} is distinct from wanted.{{ column }}
        {%- endfor -%}
    {%- endset -%}
merge into {{ target }} as target
using (
    with wanted as (
        {{ wanted_sql }}
    ),

    -- A row that is there twice is not right in any of its copies: all go, and one comes back.
    numbered as (
        select
            *,
            count(*) over (partition by {{ record_key }}, _scd_id) as _copies,
            row_number() over (partition by {{ record_key }}, _scd_id order by _dbt_updated_at) as _copy
        from {{ target }}
        where
            {{ record_key }} in (select touched.{{ record_key }} from wanted as touched)
            {%- if versions and build %}
            or '{{ build }}' = (select max(built._build) from {{ versions }} as built)
            {%- endif %}
    ),

    present as (
        select * from numbered
        where _copy = 1
    )

    select
        present._scd_id as _replaces,
        {%- for column in columns %}
        present.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from present
    left join wanted on {{ same }}
    where wanted._scd_id is null or present._copies > 1 or {{ differs }}
    union all
    select
        cast(null as varchar) as _replaces,
        {%- for column in columns %}
        wanted.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from wanted
    left join present on {{ same }}
    where present._scd_id is null or present._copies > 1 or {{ differs }}
) as source
on
    target.{{ record_key }} = source.{{ record_key }}
    and target._scd_id = source._replaces
{{ scd2_replacing(columns) }}
{%- endmacro %}


{#- What both do with a source row: delete the row that it replaces, or insert it. -#}
{% macro scd2_replacing(columns) -%}
when matched then delete
when not matched and source._replaces is null then insert ({{ columns | join(', ') }})
values (
    {%- for column in columns -%}
    source.{{ column }}{{ ', ' if not loop.last }}
    {%- endfor -%}
)
{%- endmacro %}


{#- The MERGE of versions that follow on (scd2_follows_on): of each record the open version and those after it, against its
    current row (scd2_current_rows). Past rows, which are most of the table, lie in partitions of their own and are not
    read. A row that is replaced is in the source twice, once to delete it. The record and its start stand for the
    version's id, which is longer to read. -#}
{% macro scd2_merge_following(target, wanted_sql, record_key, versions, current_rows) -%}
    {%- set columns = model.columns.values() | map(attribute='name') | list -%}
merge into {{ target }} as target
using (
    with all_versions as (
        {{ wanted_sql }}
    ),

    wanted as (
        select * from all_versions
        where _scd_id in (select reached._scd_id from {{ versions }} as reached where reached.standing <> 'settled')
    ),

    outdated as (
        select
            wanted.*,
            present.{{ record_key }} is not null as _is_there
        from wanted
        left join {{ current_rows }} as present
            on wanted.{{ record_key }} = present.{{ record_key }} and wanted.effective_from = present.effective_from
        where
            present.{{ record_key }} is null
            {%- for column in scd2_compared_columns(record_key) %}
            or present.{{ column }} is distinct from wanted.{{ column }}
            {%- endfor %}
    )

    select
        outdated.*,
        true as _was_current,
        case when actions.deletes then outdated.effective_from end as _replaces
    from outdated
    cross join (values (false), (true)) as actions (deletes)
    where outdated._is_there or not actions.deletes
) as source
on
    target.{{ record_key }} = source.{{ record_key }}
    and target.effective_from = source._replaces
    and target.is_current = source._was_current
{{ scd2_replacing(columns) }}
{%- endmacro %}


{#- Columns in which a version may differ from the row of the same record and start: the others follow from these two. -#}
{% macro scd2_compared_columns(record_key) -%}
    {%- set derived = (record_key, config.require('version_key'), 'effective_from', '_scd_id', '_dbt_updated_at') -%}
    {{ return(model.columns.values() | map(attribute='name') | reject('in', derived) | list) }}
{%- endmacro %}


{#- The current rows of the records in `versions`, as something to select from: what scd2_follows_on and
    scd2_merge_following compare with. The columns are the record, its start, and scd2_compared_columns. -#}
{% macro scd2_current_rows(dimension, versions, record_key) -%}
    {{ return(adapter.dispatch('scd2_current_rows', 'sf_history')(dimension, versions, record_key)) }}
{%- endmacro %}

{#- A subquery: Trino and Athena have no temporary tables, and read the columns of each use alone. -#}
{% macro default__scd2_current_rows(dimension, versions, record_key) -%}
    {{ return('(' ~ scd2_select_current_rows(dimension, versions, record_key) ~ ')') }}
{%- endmacro %}

{#- A temporary table, so that the current rows are read once for both. The transaction that it begins is the MERGE's: all
    of them see the dimension as it is at this moment, and the MERGE is refused if another one commits meanwhile. -#}
{% macro duckdb__scd2_current_rows(dimension, versions, record_key) -%}
    {%- call statement('current_rows') -%}
        create or replace temporary table scd2_current_rows as
        {{ scd2_select_current_rows(dimension, versions, record_key) }}
    {%- endcall -%}
    {{ return('scd2_current_rows') }}
{%- endmacro %}

{#- The SELECT of both. The flag is joined as well: DuckDB leaves files of past rows closed where a join tells it the
    partition, and opens each of them for a condition on the flag. -#}
{% macro scd2_select_current_rows(dimension, versions, record_key) -%}
select
    there.{{ record_key }},
    there.effective_from,
    {%- for column in scd2_compared_columns(record_key) %}
    there.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ dimension }} as there
inner join (select distinct {{ record_key }}, true as is_current from {{ versions }}) as touched
    on there.{{ record_key }} = touched.{{ record_key }} and there.is_current = touched.is_current
where there.is_current
{%- endmacro %}


{#- Whether this run may publish versions that follow on: it has consumed some batches, and rebuilds nothing. -#}
{% macro scd2_may_follow_on(build) -%}
    {{ return(not should_full_refresh() and (build or '').endswith(' touched')) }}
{%- endmacro %}


{#- Whether the versions of all touched records follow on from the dimension as it is: of each record the open version is
    its only current row, or the record is new and has none. So it is when observations arrive in order. It is not when
    one was older than the current version, nor when a run has merged these versions before and died. -#}
{% macro scd2_follows_on(versions, record_key, current_rows) -%}
    {%- set others -%}
with known as (
    select
        {{ record_key }},
        max(case when standing = 'open' then effective_from end) as effective_from,
        count(case when standing = 'open' then 1 end) as expected,
        count(case when standing <> 'settled' then 1 end) as reached
    from {{ versions }}
    group by {{ record_key }}
),

present as (
    select
        there.{{ record_key }},
        max(there.effective_from) as effective_from,
        count(*) as found
    from {{ current_rows }} as there
    group by there.{{ record_key }}
)

select count(*) as others
from known
left join present on known.{{ record_key }} = present.{{ record_key }}
where
    known.reached = 0
    or known.expected <> coalesce(present.found, 0)
    or known.effective_from <> present.effective_from
    {%- endset -%}
    {{ return(run_query(others).columns[0].values()[0] == 0) }}
{%- endmacro %}
