{#- A timestamp with time zone as UTC timestamp(6) without one. -#}
{% macro utc_timestamp(expression) -%}
    {{ return(adapter.dispatch('utc_timestamp', 'sf_history')(expression)) }}
{%- endmacro %}

{% macro default__utc_timestamp(expression) -%}
    cast(at_timezone({{ expression }}, 'UTC') as timestamp(6))
{%- endmacro %}

{% macro duckdb__utc_timestamp(expression) -%}
    make_timestamp(epoch_us({{ expression }}))
{%- endmacro %}


{#- A UTC timestamp(6) as timestamp with time zone, as the raw tables and the ledger keep it. -#}
{% macro utc_timestamptz(expression) -%}
    {{ return(adapter.dispatch('utc_timestamptz', 'sf_history')(expression)) }}
{%- endmacro %}

{% macro default__utc_timestamptz(expression) -%}
    with_timezone({{ expression }}, 'UTC')
{%- endmacro %}

{% macro duckdb__utc_timestamptz(expression) -%}
    timezone('UTC', {{ expression }})
{%- endmacro %}


{#- Microseconds since 1970 of a timestamp(6). Exact from year 0001 to 9999, which nanoseconds in 64 bits are not. -#}
{% macro epoch_micros(expression) -%}
    {{ return(adapter.dispatch('epoch_micros', 'sf_history')(expression)) }}
{%- endmacro %}

{% macro default__epoch_micros(expression) -%}
    (
        date_diff(
            'second', timestamp '1970-01-01 00:00:00', date_trunc('second', cast({{ expression }} as timestamp(6)))
        ) * 1000000
        + cast(substr(cast(cast({{ expression }} as timestamp(6)) as varchar), -6) as bigint)
    )
{%- endmacro %}

{% macro duckdb__epoch_micros(expression) -%}
    epoch_us({{ expression }})
{%- endmacro %}


{#- The timestamp(6) of a number of microseconds since 1970: the inverse of epoch_micros. -#}
{% macro from_epoch_micros(expression) -%}
    {{ return(adapter.dispatch('from_epoch_micros', 'sf_history')(expression)) }}
{%- endmacro %}

{#- No interval of Trino is finer than a millisecond, so the fraction is put behind the second as text. It adds no more
    than 2^31 of anything, which in seconds is January 2038; hence days first. mod() keeps the sign of its first argument,
    hence the second one: microseconds before 1970 count from the second below. -#}
{% macro default__from_epoch_micros(expression) -%}
    {%- set fraction -%} mod(mod({{ expression }}, 1000000) + 1000000, 1000000) {%- endset -%}
    {%- set seconds -%} ({{ expression }} - {{ fraction }}) / 1000000 {%- endset -%}
    cast(
        substr(
            cast(
                date_add(
                    'second', mod({{ seconds }}, 86400),
                    date_add('day', ({{ seconds }}) / 86400, cast('1970-01-01 00:00:00' as timestamp(6)))
                ) as varchar
            ), 1, 19
        ) || '.' || lpad(cast({{ fraction }} as varchar), 6, '0') as timestamp(6)
    )
{%- endmacro %}

{% macro duckdb__from_epoch_micros(expression) -%}
    make_timestamp({{ expression }})
{%- endmacro %}


{#- A timestamp(6) as YYYY-MM-DDTHH:MM:SS.ffffffZ. -#}
{% macro iso_timestamp(expression) -%}
    {{ return(adapter.dispatch('iso_timestamp', 'sf_history')(expression)) }}
{%- endmacro %}

{% macro default__iso_timestamp(expression) -%}
    replace(cast(cast({{ expression }} as timestamp(6)) as varchar), ' ', 'T') || 'Z'
{%- endmacro %}

{% macro duckdb__iso_timestamp(expression) -%}
    strftime({{ expression }}, '%Y-%m-%dT%H:%M:%S.%fZ')
{%- endmacro %}


{#- The moment this dbt invocation started, as a timestamp(6) literal: the same for every row of a run. -#}
{% macro run_started() -%}
    cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}' as timestamp(6))
{%- endmacro %}
