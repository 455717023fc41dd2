{#- The dimension's rows as they are to be after this run, for the records that it touched. -#}
{% macro scd2_dimension(noun, versions) -%}
    {%- set object = sf_object(noun) -%}
select
    {{ object.key }},
    {%- for column in object.columns %}
    {{ column.name }},
    {%- endfor %}
    update_date,
    effective_from,
    effective_to,
    is_current,
    is_deleted,
    {{ run_started() }} as _dbt_updated_at,
    _scd_id
from {{ versions }}
{%- endmacro %}


{#- The current row of every record. -#}
{% macro scd2_current(noun, dimension) -%}
    {%- set object = sf_object(noun) -%}
select
    {{ object.key }},
    {%- for column in object.columns %}
    {{ column.name }},
    {%- endfor %}
    update_date,
    effective_from,
    effective_to,
    is_current,
    is_deleted,
    _dbt_updated_at,
    _scd_id
from {{ dimension }}
where is_current
{%- endmacro %}
