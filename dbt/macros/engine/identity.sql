{#- Lower-case hexadecimal md5 of a string. -#}
{% macro md5_hex(expression) -%}
    {{ return(adapter.dispatch('md5_hex', 'sf_history')(expression)) }}
{%- endmacro %}

{% macro default__md5_hex(expression) -%}
    lower(to_hex(md5(to_utf8({{ expression }}))))
{%- endmacro %}

{% macro duckdb__md5_hex(expression) -%}
    md5({{ expression }})
{%- endmacro %}


{#- The first hexadecimal digits of a string as bigint: 15 of them are 60 bits, so it is never negative. -#}
{% macro hex_bigint(expression, digits=15) -%}
    {{ return(adapter.dispatch('hex_bigint', 'sf_history')(expression, digits)) }}
{%- endmacro %}

{% macro default__hex_bigint(expression, digits) -%}
    from_base(substr({{ expression }}, 1, {{ digits }}), 16)
{%- endmacro %}

{% macro duckdb__hex_bigint(expression, digits) -%}
    cast('0x' || substr({{ expression }}, 1, {{ digits }}) as bigint)
{%- endmacro %}
