{{ scd2_versions('account', changes=ref('int_sf_account_changes')) }}
