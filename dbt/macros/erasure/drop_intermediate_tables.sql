{#- Drops the tables between staging and dimension, which hold rows of whoever was touched last. The next run builds them
    anew from the log. Each adapter knows by itself how a table of its engine is dropped with its files. -#}
{% macro drop_intermediate_tables(noun) -%}
    {%- set object = sf_object(noun) -%}
    {%- for part in ('changes', 'versions') -%}
        {%- set name = 'int_' ~ object.table ~ '_' ~ part -%}
        {%- set relation = adapter.get_relation(database=target.database, schema=target.schema, identifier=name) -%}
        {%- if relation is not none -%}
            {%- do adapter.drop_relation(relation) -%}
            {%- do log('dropped ' ~ relation, info=true) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- do commit_ddl() -%}
{%- endmacro %}
