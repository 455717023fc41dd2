-- The mirror: the last observation of each Account.
select {{ staged_columns('account') }}
from {{ source('sf_raw', 'sf_account') }}
