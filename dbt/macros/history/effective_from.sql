{#- The CTE `effective`: (id, version_number, effective_micros) for the openings of versions.

    A version is effective from the first of LastModifiedDate, SystemModstamp and window end that is later than the
    previous version's effective_from, else from that plus 1 µs. Each value needs the one before it, so this is a fold
    over a record's openings in order; all in microseconds since 1970. -#}
{% macro scd2_effective_from(id, openings) -%}
    {{ return(adapter.dispatch('scd2_effective_from', 'sf_history')(id, openings)) }}
{%- endmacro %}

{% macro default__scd2_effective_from(id, openings) -%}
folded as (
    select
        {{ id }},
        reduce(
            array_agg(array[modified_micros, stamped_micros, window_micros] order by version_number),
            cast(array[] as array(bigint)),
            -- As an array of one: a null by itself would make all of it null, and the record would vanish unaudited.
            (found, opening) -> found || array[case
                when cardinality(found) = 0 or opening[1] > element_at(found, -1) then opening[1]
                when opening[2] > element_at(found, -1) then opening[2]
                when opening[3] > element_at(found, -1) then opening[3]
                else element_at(found, -1) + 1
            end],
            found -> found
        ) as effective
    from {{ openings }}
    group by {{ id }}
),

effective as (
    select
        folded.{{ id }},
        unfolded.version_number,
        unfolded.effective_micros
    from folded
    cross join unnest(folded.effective) with ordinality as unfolded (effective_micros, version_number)
)
{%- endmacro %}

{% macro duckdb__scd2_effective_from(id, openings) -%}
folded as (
    select
        {{ id }},
        list_reduce(
            list([modified_micros, stamped_micros, window_micros] order by version_number),
            lambda found, opening: list_append(found, case
                when len(found) = 0 or opening[1] > found[-1] then opening[1]
                when opening[2] > found[-1] then opening[2]
                when opening[3] > found[-1] then opening[3]
                else found[-1] + 1
            end),
            cast([] as bigint[])
        ) as effective
    from {{ openings }}
    group by {{ id }}
),

effective as (
    select
        {{ id }},
        unnest(effective) as effective_micros,
        generate_subscripts(effective, 1) as version_number
    from folded
)
{%- endmacro %}
