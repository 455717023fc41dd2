"""Every case and every story that `make faults` tries, in the order of its table."""

from __future__ import annotations

from local.faults import deletions, drift, quarantine, together
from local.faults.cases import Case, all_cases
from local.faults.story import Story


def everything() -> list[Case | Story]:
    """What is tried."""
    return [*all_cases(), *drift.stories(), *deletions.stories(), *together.stories(), *quarantine.stories()]
