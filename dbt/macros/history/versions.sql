{#- The versions that follow from the observations of the touched records: the dimension's rows, but for
    _dbt_updated_at.

    A value is carried as a code: 'v' and the value, 'n' for null, null for unknown (the row did not observe the field).
    Unknown is not null: a tracked field's code is compared with the last one that is known, the first known one opens
    nothing, and a version carries the last known value of every column.

    `standing` says what the pending observations may have changed: nothing in a 'settled' version, which ended before a
    record's first pending observation; the end and the values of the 'open' one, which then was the last; a 'new' one
    opens with or after it. What is settled follows from what was observed before, so the dimension has it as it is. -#}
{% macro scd2_versions(noun, changes) -%}
    {%- set object = sf_object(noun) -%}
    {%- set id = object.id -%}
    {%- set by_time -%} partition by {{ id }} order by observation_number {%- endset -%}
with observations as (
    select
        {{ id }},
        {%- for column in object.columns if column.name != id %}
        case
            when _observed_columns is null or strpos(',' || _observed_columns || ',', ',{{ column.source }},') > 0
                then coalesce('v' || cast({{ column.name }} as varchar), 'n')
        end as {{ column.name }}_code,
        {%- endfor %}
        coalesce(is_deleted, false) as is_deleted,
        last_modified_date,
        system_modstamp,
        _window_end,
        row_number() over (
            partition by {{ id }}
            order by _window_end, system_modstamp, _extracted_at, _row_hash, _change, _observed_columns
        ) as observation_number,
        is_pending
    from {{ changes }}
),

compared as (
    select
        *,
        {%- for field in object.tracked %}
        {{ last_known(field ~ '_code', by_time ~ ' rows between unbounded preceding and 1 preceding') }}
            as {{ field }}_before,
        {%- endfor %}
        {%- for column in object.columns if column.name != id %}
        {{ last_known(column.name ~ '_code', by_time ~ ' rows between unbounded preceding and current row') }}
            as {{ column.name }}_known,
        {%- endfor %}
        lag(is_deleted) over ({{ by_time }}) as is_deleted_before,
        min(case when is_pending then observation_number end) over (partition by {{ id }}) as first_pending
    from observations
),

marked as (
    select
        *,
        case
            when
                observation_number = 1
                or is_deleted <> is_deleted_before
                {%- for field in object.tracked %}
                or {{ field }}_code <> {{ field }}_before
                {%- endfor %}
                then 1
            else 0
        end as opens
    from compared
),

numbered as (
    select
        *,
        cast(sum(opens) over ({{ by_time }} rows between unbounded preceding and current row) as bigint)
            as version_number,
        lead(opens, 1, 1) over ({{ by_time }}) as closes
    from marked
),

openings as (
    select
        {{ id }},
        version_number,
        observation_number as first_observation,
        last_modified_date as update_date,
        {{ epoch_micros('coalesce(last_modified_date, system_modstamp, _window_end)') }} as modified_micros,
        {{ epoch_micros('coalesce(system_modstamp, _window_end, last_modified_date)') }} as stamped_micros,
        {{ epoch_micros('coalesce(_window_end, system_modstamp, last_modified_date)') }} as window_micros
    from numbered
    where opens = 1
),

{{ scd2_effective_from(id, 'openings') }},

intervals as (
    select
        *,
        lead(effective_micros) over (partition by {{ id }} order by version_number) as next_micros
    from effective
),

-- Type 1: what a version says is what was known at its last observation.
closings as (
    select
        {{ id }},
        version_number,
        {%- for column in object.columns if column.name != id %}
        cast(
            case when {{ column.name }}_known like 'v%' then substr({{ column.name }}_known, 2) end
            as {{ column_data_type(column.type | default('string')) }}
        ) as {{ column.name }},
        {%- endfor %}
        is_deleted,
        observation_number as last_observation,
        first_pending
    from numbered
    where closes = 1
),

versions as (
    select
        closings.*,
        openings.update_date,
        case
            when openings.first_observation >= closings.first_pending then 'new'
            when closings.last_observation >= closings.first_pending - 1 then 'open'
            else 'settled'
        end as standing,
        {{ from_epoch_micros('intervals.effective_micros') }} as effective_from,
        {{ from_epoch_micros('intervals.next_micros') }} as effective_to
    from closings
    inner join openings
        on closings.{{ id }} = openings.{{ id }} and closings.version_number = openings.version_number
    inner join intervals
        on closings.{{ id }} = intervals.{{ id }} and closings.version_number = intervals.version_number
),

identified as (
    select
        *,
        {{ md5_hex(id ~ " || '|' || " ~ iso_timestamp('effective_from')) }} as _scd_id
    from versions
)

select
    {{ hex_bigint('_scd_id') }} as {{ object.key }},
    {%- for column in object.columns %}
    {{ column.name }},
    {%- endfor %}
    update_date,
    effective_from,
    effective_to,
    effective_to is null as is_current,
    is_deleted,
    _scd_id,
    standing,
    (select max(built._build) from {{ changes }} as built) as _build
from identified
{%- endmacro %}


{#- SQL type of a column type of vars.sf_objects. -#}
{% macro column_data_type(type) -%}
    {{ return({
        'string': 'varchar', 'boolean': 'boolean', 'timestamp': 'timestamp(6)', 'date': 'date', 'long': 'bigint',
        'double': 'double',
    }[type]) }}
{%- endmacro %}
