-- The log: everything that was ever observed of each Account, in the order of arrival.
select {{ staged_columns('account', log=true) }}
from {{ source('sf_raw', 'sf_account_changes') }}
