-- The mirror: the last observation of each User.
select {{ staged_columns('user') }}
from {{ source('sf_raw', 'sf_user') }}
