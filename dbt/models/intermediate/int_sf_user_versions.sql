{{ scd2_versions('user', changes=ref('int_sf_user_changes')) }}
