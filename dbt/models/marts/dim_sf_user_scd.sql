{{ config(
    materialized='scd2_dimension',
    on_schema_change='append_new_columns',
    record_key='user_id',
    version_key='user_key',
    partitioned_by=scd2_partitioning('user_id'),
    changes='int_sf_user_changes',
    versions='int_sf_user_versions',
    ledger='sf_user_consumed'
) }}
-- depends_on: {{ ref('int_sf_user_changes') }}, {{ source('sf_ledger', 'sf_user_consumed') }}

{{ scd2_dimension('user', versions=ref('int_sf_user_versions')) }}
