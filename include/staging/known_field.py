"""What is remembered of a Salesforce field from one run to the next, so that a change is told once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class KnownField:
    """One field, as the org last showed it.

    :param field: API name as the org spells it; as the object file does where the org never showed the field.
    :param salesforce_type: type in the describe; '' where the org never showed the field.
    :param state: whether the org shows it.
    :param first_seen: when it appeared; None where it was there at the first look, or never was.
    :param last_changed: when its state or type changed last.
    """

    field: str
    salesforce_type: str
    state: Literal["there", "gone"]
    first_seen: datetime | None
    last_changed: datetime
