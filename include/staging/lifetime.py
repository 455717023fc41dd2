"""How long what is staged or on record can still have somebody who works with it."""

from __future__ import annotations

from datetime import timedelta

#: How long a run can live (the DAG's `dagrun_timeout`): what is older has no reader any more.
LONGEST_RUN = timedelta(hours=48)
