"""The trigger form: what a person may ask of one run, and how it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param


def pipeline_params() -> dict[str, Param]:
    """Params of every pipeline; each explains itself on the trigger form."""
    return {
        "since": Param(
            default=None,
            type=["null", "string"],
            format="date-time",
            title="Read changes since",
            description_md=(
                "Lower bound of the cursor (SystemModstamp), inclusive, UTC. Leave empty to go on from the watermark "
                "minus the lookback. An earlier `since` reads again; it never loses or doubles anything."
            ),
        ),
        "until": Param(
            default=None,
            type=["null", "string"],
            format="date-time",
            title="Read changes until",
            description_md=(
                "Upper bound of the cursor, exclusive, UTC. Leave empty for the run's logical date, or for now. "
                "A time in the future is refused."
            ),
        ),
        "full_refresh": Param(
            default=False,
            type="boolean",
            title="Read everything",
            description_md=(
                "Read every record instead of the changed ones. Only a full refresh can notice that a record is gone. "
                "One runs by itself every week; ask for one after restoring, purging or importing data."
            ),
        ),
        "replay_quarantine": Param(
            default=False,
            type="boolean",
            title="Replay the quarantine",
            description_md=(
                "First bring in the records of the quarantine that the object file accepts by now, at the time at "
                "which they were read. Ask for it after relaxing `required` or `unique`. A second replay changes "
                "nothing; what was mended in Salesforce comes in by itself."
            ),
        ),
    }


class ParamRefused(ValueError):
    """A Param is not what its form asks for. The message names it, its value, and an example."""


def moment(params: Mapping[str, Any], name: str) -> datetime | None:
    """A date-time Param as an aware datetime in UTC.

    :param params: the run's Params.
    :param name: `since` or `until`.
    :return: None where it was left empty. A value without a zone is UTC.
    :raises ParamRefused: naming the Param and its value.
    """
    value = params.get(name)
    if value in (None, ""):
        return None
    try:
        parsed = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ParamRefused(f"Param {name} is {value!r}; give a date and time such as 2026-01-05T06:00:00Z") from error
