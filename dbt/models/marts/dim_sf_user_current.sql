{{ config(materialized='view', database=target.database) }}

{{ scd2_current('user', dimension=ref('dim_sf_user_scd')) }}
