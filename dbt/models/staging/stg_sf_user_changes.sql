-- The log: everything that was ever observed of each User, in the order of arrival.
select {{ staged_columns('user', log=true) }}
from {{ source('sf_raw', 'sf_user_changes') }}
