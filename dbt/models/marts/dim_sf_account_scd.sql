{{ config(
    materialized='scd2_dimension',
    on_schema_change='append_new_columns',
    record_key='account_id',
    version_key='account_key',
    partitioned_by=scd2_partitioning('account_id'),
    changes='int_sf_account_changes',
    versions='int_sf_account_versions',
    ledger='sf_account_consumed'
) }}
-- depends_on: {{ ref('int_sf_account_changes') }}, {{ source('sf_ledger', 'sf_account_consumed') }}

{{ scd2_dimension('account', versions=ref('int_sf_account_versions')) }}
