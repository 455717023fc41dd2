{% test one_current_row(model, record_key) %}
-- Records that do not have exactly one current version.
select
    {{ record_key }},
    sum(case when is_current then 1 else 0 end) as current_versions
from {{ model }}
group by {{ record_key }}
having sum(case when is_current then 1 else 0 end) <> 1
{% endtest %}
