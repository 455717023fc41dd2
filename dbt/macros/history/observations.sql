{#- Every observation of the touched records, each with whether its batch is pending.

    `_build` names the dbt call that made these rows, and whether of all records or of the touched ones: what the ledger is
    told later is what was merged from them, even if somebody else builds them anew meanwhile.

    A batch is one extraction attempt (_extraction_run_id, _extracted_at). It is pending unless the ledger has it with
    the same number of observations, so what was consumed is known exactly, in whatever order batches arrive. What was
    replayed from the quarantine is in batches of its own, the only ones that may lose one observation (to an erasure)
    and gain another: of these the content is compared as well. A record is touched if a pending batch observed it; all
    are when the dimension is rebuilt.

    Only the two columns of the batch are read for the whole log; whole rows only of the touched records. -#}
{% macro scd2_observations(noun, log, ledger) -%}
    {%- set object = sf_object(noun) -%}
    {%- set everything = scd2_everything_is_touched(object.dimension) -%}
with batches as (
    select
        _extraction_run_id,
        _extracted_at,
        count(*) as observations,
        cast(0 as bigint) as content
    from {{ log }}
    where _extraction_run_id not like 'replayed %'
    group by _extraction_run_id, _extracted_at
    union all
    select
        _extraction_run_id,
        _extracted_at,
        count(*) as observations,
        {{ scd2_batch_content() }} as content
    from {{ log }}
    where _extraction_run_id like 'replayed %'
    group by _extraction_run_id, _extracted_at
),

consumed as (
    select distinct
        _extraction_run_id,
        {{ utc_timestamp('_extracted_at') }} as _extracted_at,
        observations,
        content
    from {{ ledger }}
),

pending as (
    select
        batches._extraction_run_id,
        batches._extracted_at
    from batches
    left join consumed
        on
            batches._extraction_run_id = consumed._extraction_run_id
            and batches._extracted_at = consumed._extracted_at
            and batches.observations = consumed.observations
            and batches.content = consumed.content
    where consumed._extraction_run_id is null
)
{%- if not everything %},

touched as (
    select distinct log.{{ object.id }}
    from {{ log }} as log
    inner join pending
        on log._extraction_run_id = pending._extraction_run_id and log._extracted_at = pending._extracted_at
)
{%- endif %}

select
    {%- for column in object.columns %}
    log.{{ column.name }},
    {%- endfor %}
    log.last_modified_date,
    log.system_modstamp,
    log.is_deleted,
    log._change,
    log._window_end,
    log._observed_columns,
    log._extracted_at,
    log._extraction_run_id,
    log._row_hash,
    pending._extraction_run_id is not null as is_pending,
    cast('{{ invocation_id }} {{ 'all' if everything else 'touched' }}' as varchar) as _build
from {{ log }} as log
left join pending
    on log._extraction_run_id = pending._extraction_run_id and log._extracted_at = pending._extracted_at
{%- if not everything %}
where log.{{ object.id }} in (select touched.{{ object.id }} from touched)
{%- endif %}
{%- endmacro %}


{#- Whether every record counts as touched: on --full-refresh, and while the dimension has no rows. The engine is asked
    only when models are really built, so that `dbt compile` needs none. -#}
{% macro scd2_everything_is_touched(dimension) -%}
    {%- if flags.FULL_REFRESH -%} {{ return(true) }} {%- endif -%}
    {%- if not execute or flags.WHICH not in ('run', 'build') -%} {{ return(false) }} {%- endif -%}
    {%- set database = 'lake' if target.type == 'duckdb' else target.database -%}
    {%- set relation = adapter.get_relation(database=database, schema=model.schema, identifier=dimension) -%}
    {%- if relation is none -%} {{ return(true) }} {%- endif -%}
    {{ return(run_query('select 1 as one from ' ~ relation ~ ' limit 1').rows | length == 0) }}
{%- endmacro %}


{#- Appends to the ledger the batches that a build consists of: those pending ones that are not there yet. Called after
    the dimension's commit, so a crash in between makes the next run consume them again, with the same outcome. -#}
{% macro scd2_record_consumed(changes, ledger, build) -%}
insert into {{ ledger.render() }} (_extraction_run_id, _extracted_at, observations, content)
with consumed as (
    select
        _extraction_run_id,
        _extracted_at,
        count(*) as observations,
        case
            when _extraction_run_id like 'replayed %' then {{ scd2_batch_content() }}
            else cast(0 as bigint)
        end as content
    from {{ changes }}
    where is_pending and _build = '{{ build }}'
    group by _extraction_run_id, _extracted_at
)

select
    consumed._extraction_run_id,
    {{ utc_timestamptz('consumed._extracted_at') }} as _extracted_at,
    consumed.observations,
    consumed.content
from consumed
left join {{ ledger }} as ledger
    on
        consumed._extraction_run_id = ledger._extraction_run_id
        and consumed._extracted_at = {{ utc_timestamp('ledger._extracted_at') }}
        and consumed.observations = ledger.observations
        and consumed.content = ledger.content
where ledger._extraction_run_id is null
{%- endmacro %}


{#- One number for what the observations of a replayed batch say, besides how many they are: the sum of 32 bits of each
    row's hash, which an engine adds up in whatever order. -#}
{% macro scd2_batch_content() -%}
    cast(sum({{ hex_bigint('_row_hash', 8) }}) as bigint)
{%- endmacro %}


{#- The build that versions were worked out from; none if there are no versions. -#}
{% macro scd2_build_of(versions) -%}
    {%- set found = run_query('select max(_build) as build from ' ~ versions) -%}
    {{ return(found.columns[0].values()[0]) }}
{%- endmacro %}
