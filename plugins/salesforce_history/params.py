"""The trigger form: what a person may ask of one run, and how it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Param

from include.lake.erased import InvalidIds, canonical_ids


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
        "erase": Param(
            default=[],
            type="array",
            items={"type": "string"},
            title="Erase people for good",
            description_md=(
                "Ids (15 or 18 characters), one a line, of records that must be forgotten. They are removed from every "
                "table and staged file of this object, from old snapshots too, and never come back, though they be in "
                "Salesforce still. **This cannot be undone.** What is written here stays in Airflow's own database "
                "until this run is deleted (Browse > DAG Runs). See docs/erasure.md."
            ),
        ),
    }


class ParamRefused(ValueError):
    """A Param is not what its form asks for. The message names it, its value, and an example."""


def ids_to_erase(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The Ids of the Param `erase`, in their 18-character form.

    :param params: the run's Params.
    :raises ParamRefused: if one is no Id. It is told by its place, because a task's log is kept for long.
    """
    given = params.get("erase") or []
    if not isinstance(given, list | tuple):
        raise ParamRefused(f"Param erase is a {type(given).__name__}; give a list of Ids, one a line")
    try:
        return canonical_ids(given)
    except InvalidIds as problem:
        raise ParamRefused(f"Param erase: {problem}") from problem


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
