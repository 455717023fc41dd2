{#- The select list of a staging model: names of the dimension, '' as null (REST and Bulk then read alike), UTC
    timestamps without time zone (Athena refuses timestamptz in DDL). -#}
{% macro staged_columns(noun, log=false) -%}
    {%- set object = sf_object(noun) -%}
    {%- for column in object.columns + object.staged %}
    {{ staged_column(column.source, column.type | default('string')) }} as {{ column.name }},
    {%- endfor %}
    {{ utc_timestamp('lastmodifieddate') }} as last_modified_date,
    {{ utc_timestamp(object.cursor) }} as system_modstamp,
    coalesce(isdeleted, false) {%- if log %} or coalesce(_change = 'delete', false) {%- endif %} as is_deleted,
    {%- if log %}
    _change,
    {{ utc_timestamp('_window_end') }} as _window_end,
    _observed_columns,
    {%- endif %}
    {{ utc_timestamp('_extracted_at') }} as _extracted_at,
    _extraction_run_id,
    _row_hash
{%- endmacro %}

{% macro staged_column(source, type) -%}
    {%- if type == 'string' -%} nullif({{ source }}, '')
    {%- elif type == 'timestamp' -%} {{ utc_timestamp(source) }}
    {%- else -%} {{ source }}
    {%- endif -%}
{%- endmacro %}
