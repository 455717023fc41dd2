{% test scd_integrity(model, record_key) %}
-- Versions that break the chain: a gap, an overlap, an interval that is empty or runs backwards, two versions from the
-- same moment, a current version that ends, or a past one that does not.
with chain as (
    select
        {{ record_key }},
        effective_from,
        effective_to,
        is_current,
        lead(effective_from) over (
            partition by {{ record_key }} order by effective_from, effective_to nulls last
        ) as next_from
    from {{ model }}
)

select *
from chain
where
    effective_from is null
    or effective_to <= effective_from
    or next_from <= effective_from
    or effective_to is distinct from next_from
    or is_current is distinct from (effective_to is null)
{% endtest %}
