{{ scd2_observations('user', log=ref('stg_sf_user_changes'), ledger=source('sf_ledger', 'sf_user_consumed')) }}
