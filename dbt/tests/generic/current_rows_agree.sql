{% test current_rows_agree(model, snapshot, record_key, columns) %}
-- Records whose current row in the dimension and in the snapshot of the mirror differ, or that only one of them has.
with dimension as (
    select
        {{ record_key }},
        {{ columns | join(', ') }}
    from {{ model }}
    where is_current
),

snapshot as (
    select
        {{ record_key }},
        {{ columns | join(', ') }}
    from {{ snapshot }}
    where dbt_valid_to is null
)

select
    coalesce(dimension.{{ record_key }}, snapshot.{{ record_key }}) as {{ record_key }},
    dimension.{{ record_key }} is null as only_in_snapshot,
    snapshot.{{ record_key }} is null as only_in_dimension
from dimension
full outer join snapshot on dimension.{{ record_key }} = snapshot.{{ record_key }}
where
    dimension.{{ record_key }} is null
    or snapshot.{{ record_key }} is null
    {% for column in columns -%}
        or dimension.{{ column }} is distinct from snapshot.{{ column }}
    {% endfor %}
{% endtest %}
