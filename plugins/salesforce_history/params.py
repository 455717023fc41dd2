"""The trigger form: what a person may ask of one run, and how it is read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
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


#: A date, or a date and a time, in ASCII digits; anything else that a parser would be kind to is more likely a mistake.
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?) ?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)
#: The years of the datetimes that SOQL reads.
FIRST_YEAR, LAST_YEAR = 1700, 4000

_SHOWN = 120


def refuse_misspelt(conf: Mapping[str, Any]) -> None:
    """Refuse a Param whose name is nearly right: Airflow would ignore it, and the run would do something else.

    Names that resemble none pass, because other tools leave their own in a run's configuration.

    :param conf: the run's configuration, as it was triggered.
    :raises ParamRefused: naming the Param and the one that was probably meant.
    """
    known = list(pipeline_params())
    for name in conf:
        near = get_close_matches(str(name).lower().replace("-", "_"), known, n=1, cutoff=0.75)
        if name not in known and near:
            raise ParamRefused(f"there is no Param {_shown(name)}: did you mean {near[0]}? Trigger the run again.")


def ids_to_erase(params: Mapping[str, Any]) -> tuple[str, ...]:
    """The Ids of the Param `erase`, in their 18-character form.

    :param params: the run's Params.
    :raises ParamRefused: if one is no Id. It is told by its place, because a task's log is kept for long.
    """
    from include.lake.erased import InvalidIds, canonical_ids

    given = params.get("erase") or []
    if not isinstance(given, list | tuple):
        raise ParamRefused(f"Param erase is a {type(given).__name__}; give a list of Ids, one a line")
    try:
        return canonical_ids(given)
    except InvalidIds as problem:
        raise ParamRefused(f"Param erase: {problem}") from problem


def moment(params: Mapping[str, Any], name: str) -> datetime | None:
    """A date-time Param as an aware datetime in UTC.

    The form's own validation is not relied on: not every way to trigger a run goes through it.

    :param params: the run's Params.
    :param name: `since` or `until`.
    :return: None where it was left empty. A value without a zone is UTC.
    :raises ParamRefused: naming the Param and its value.
    """
    value = params.get(name)
    if value is None or value == "":
        return None
    found = _MOMENT.fullmatch(value.strip()) if isinstance(value, str) else None
    try:
        if found is None:
            raise ValueError("not a moment")
        date, time, zone = found[1], found[2] or "00:00", (found[3] or "Z").upper().replace("Z", "+00:00")
        parsed = datetime.fromisoformat(f"{date}T{time}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ParamRefused(
            f"Param {name} is {_shown(value)}; give a date and time such as 2026-01-05T06:00:00Z (no zone means UTC), "
            "or leave it empty. Trigger the run again."
        ) from error
    if not FIRST_YEAR <= parsed.year <= LAST_YEAR:
        raise ParamRefused(
            f"Param {name} is {_shown(value)}; SOQL knows the years {FIRST_YEAR} to {LAST_YEAR} only. Give a date and "
            "time such as 2026-01-05T06:00:00Z, or leave it empty. Trigger the run again."
        )
    return parsed


def flag(params: Mapping[str, Any], name: str) -> bool:
    """A yes-or-no Param.

    :param params: the run's Params.
    :param name: `full_refresh`.
    :return: False where it was left empty.
    :raises ParamRefused: naming the Param and its value: "false", as text, would count as true otherwise.
    """
    value = params.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ParamRefused(
        f'Param {name} is {_shown(value)}; give true or false, without quotes, such as {{"{name}": true}}. '
        "Trigger the run again."
    )


def _shown(value: Any) -> str:
    """A value as a message may show it: on one line, escaped, cut."""
    text = repr(value[:_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
