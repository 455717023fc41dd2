{#- The MERGE. Trino, Athena and DuckDB all take it as it is. A source row says which row of the target it replaces: the
    row to delete, or null for a row to insert, which therefore matches nothing. As a join of equalities it is hashed;
    a condition on the source alone would make DuckDB compare every row with every other.

    Where the versions follow on (see scd2_follows_on) only the affected ones are compared, and only with current rows: past
    ones, which are most of the table, lie in partitions of their own and are not read.

    In a rebuild rows go only while `versions` still holds the build that was asked for, so that a run beside this one,
    which builds it for a few records, takes nothing away. -#}
{% macro scd2_merge(target, wanted_sql, record_key, versions, build, follows_on) -%}
    {%- set columns = model.columns.values() | map(attribute='name') | list -%}
    {%- set same -%}
        present.{{ record_key }} = wanted.{{ record_key }} and present._scd_id = wanted._scd_id
    {%- endset -%}
    {%- set differs -%}
        {%- for column in columns if column not in (record_key, '_scd_id', '_dbt_updated_at') -%}
            {{ ' or ' if not loop.first }}present.{{ column }} is distinct from wanted.{{ column }}
        {%- endfor -%}
    {%- endset -%}
    {%- set wanted = 'affected' if follows_on else 'wanted' %}
merge into {{ target }} as target
using (
    with wanted as (
        {{ wanted_sql }}
    ){% if follows_on %},

    affected as (
        select * from wanted
        where _scd_id in (select reached._scd_id from {{ versions }} as reached where reached.is_affected)
    ){% endif %},

    -- A row that is there twice is not right in any of its copies: all go, and one comes back.
    numbered as (
        select
            *,
            count(*) over (partition by {{ record_key }}, _scd_id) as _copies,
            row_number() over (partition by {{ record_key }}, _scd_id order by _dbt_updated_at) as _copy
        from {{ target }}
        where
            {{ record_key }} in (select touched.{{ record_key }} from wanted as touched)
            {%- if follows_on %}
            and is_current
            {%- elif should_full_refresh() and build %}
            or '{{ build }}' = (select max(built._build) from {{ versions }} as built)
            {%- endif %}
    ),

    present as (
        select * from numbered
        where _copy = 1
    )

    select
        present._scd_id as _replaces,
        {%- if follows_on %}
        true as _replaces_current,
        {%- endif %}
        {%- for column in columns %}
        present.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from present
    left join {{ wanted }} as wanted on {{ same }}
    where wanted._scd_id is null or present._copies > 1 or {{ differs }}
    union all
    select
        cast(null as varchar) as _replaces,
        {%- if follows_on %}
        true as _replaces_current,
        {%- endif %}
        {%- for column in columns %}
        wanted.{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ wanted }} as wanted
    left join present on {{ same }}
    where present._scd_id is null or present._copies > 1 or {{ differs }}
) as source
on
    target.{{ record_key }} = source.{{ record_key }}
    and target._scd_id = source._replaces
    {%- if follows_on %}
    and target.is_current = source._replaces_current
    {%- endif %}
when matched then delete
when not matched and source._replaces is null then insert ({{ columns | join(', ') }})
values (
    {%- for column in columns -%}
    source.{{ column }}{{ ', ' if not loop.last }}
    {%- endfor -%}
)
{%- endmacro %}


{#- Whether the affected versions of all touched records follow on from the dimension as it is: of each record the only
    current row is the first of its affected versions, which they go on from; or the record is new. So it is when
    observations arrive in order. It is not when one was older than the current version, nor when a run has merged these
    versions before and died: then all rows of the touched records are compared. Reads two columns of the current rows. -#}
{% macro scd2_follows_on(dimension, versions, record_key, build) -%}
    {%- if should_full_refresh() or not (build or '').endswith(' touched') -%} {{ return(false) }} {%- endif -%}
    {%- set others -%}
with known as (
    select
        {{ record_key }},
        count(*) as versions,
        sum(case when is_affected then 1 else 0 end) as affected
    from {{ versions }}
    group by {{ record_key }}
),

base as (
    select
        {{ record_key }},
        min_by(_scd_id, effective_from) as _scd_id
    from {{ versions }}
    where is_affected
    group by {{ record_key }}
),

present as (
    select
        {{ record_key }},
        min(_scd_id) as _scd_id,
        count(*) as rows_there
    from {{ dimension }}
    where is_current and {{ record_key }} in (select touched.{{ record_key }} from {{ versions }} as touched)
    group by {{ record_key }}
)

select count(*) as others
from known
left join base on known.{{ record_key }} = base.{{ record_key }}
left join present on known.{{ record_key }} = present.{{ record_key }}
where
    base._scd_id is null
    or case
        when present._scd_id is null then known.affected < known.versions
        else present.rows_there > 1 or present._scd_id <> base._scd_id
    end
    {%- endset -%}
    {{ return(run_query(others).columns[0].values()[0] == 0) }}
{%- endmacro %}
