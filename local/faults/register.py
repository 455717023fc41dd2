"""Every case and every story that `make faults` tries, in the order of its table."""

from __future__ import annotations

from local.faults import crash, deletions, drift, erasure, hostile, quarantine, together
from local.faults.cases import Case, all_cases
from local.faults.story import Story


def everything() -> list[Case | Story]:
    """What is tried."""
    told = [module.stories() for module in (drift, deletions, quarantine, erasure, hostile, together, crash)]
    return [*all_cases(), *(story for stories in told for story in stories)]
