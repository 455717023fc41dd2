{#- The last value that is not null, over a window. -#}
{% macro last_known(expression, over) -%}
    {{ return(adapter.dispatch('last_known', 'sf_history')(expression, over)) }}
{%- endmacro %}

{% macro default__last_known(expression, over) -%}
    last_value({{ expression }}) ignore nulls over ({{ over }})
{%- endmacro %}

{% macro duckdb__last_known(expression, over) -%}
    last_value({{ expression }} ignore nulls) over ({{ over }})
{%- endmacro %}
