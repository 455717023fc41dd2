{{ config(materialized='view', database=target.database) }}

{{ scd2_current('account', dimension=ref('dim_sf_account_scd')) }}
