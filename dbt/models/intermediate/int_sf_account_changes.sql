{{ scd2_observations('account', log=ref('stg_sf_account_changes'), ledger=source('sf_ledger', 'sf_account_consumed')) }}
