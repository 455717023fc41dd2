{#- An object's entry of vars.sf_objects, with what derives from it. -#}
{% macro sf_object(noun) -%}
    {%- set objects = var('sf_objects') -%}
    {%- if noun not in objects -%}
        {{ exceptions.raise_compiler_error(
            "vars.sf_objects has no entry '" ~ noun ~ "'; there are " ~ objects | join(', ')
            ~ ". Add one to dbt_project.yml.") }}
    {%- endif -%}
    {%- set entry = objects[noun] -%}
    {{ return(dict(entry, dimension='dim_' ~ entry.table ~ '_scd')) }}
{%- endmacro %}
