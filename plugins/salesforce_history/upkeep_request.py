"""The trigger form of `lakehouse_maintenance`, and how it is read back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from airflow.sdk import Param

from include.upkeep.places import OBJECT_TABLES
from salesforce_history.params import ParamRefused, flag

#: What else can be asked for beside the tables of an object.
STAGED, OPERATIONS, QUERY_RESULTS = "staged", "operations", "query_results"
PLACES = (*OBJECT_TABLES, STAGED, OPERATIONS, QUERY_RESULTS)


@dataclass(frozen=True, kw_only=True)
class UpkeepRequest:
    """What a run is asked to look after.

    :param noun: name of the only object; None: all, and the operations tables.
    :param places: only these; empty: all.
    :param dry_run: look only.
    """

    noun: str | None = None
    places: Collection[str] = ()
    dry_run: bool = False

    def concerns(self, noun: str | None, place: str | None = None) -> bool:
        """Whether something was asked for.

        :param noun: name of the object; None: it is of no object.
        :param place: one of `PLACES`; None: anything of the object.
        """
        return self.noun in (None, noun) and (not self.places or place is None or place in self.places)


def upkeep_params() -> dict[str, Param]:
    """Params of the upkeep; each explains itself on the trigger form."""
    return {
        "object": Param(
            default=None,
            type=["null", "string"],
            title="Only this object",
            description_md="Name of an object file, such as `user`. Empty: all of them, and the tables about runs.",
        ),
        "tables": Param(
            default=[],
            type="array",
            items={"type": "string"},
            title="Only these tables",
            description_md=f"One a line, of {', '.join(f'`{place}`' for place in PLACES)}. Leave empty for all.",
        ),
        "dry_run": Param(
            default=False,
            type="boolean",
            title="Look only",
            description_md="Report what would be done, and do nothing.",
        ),
    }


def upkeep_request(params: Mapping[str, Any], nouns: Collection[str]) -> UpkeepRequest:
    """What the Params ask for.

    :param params: the run's Params.
    :param nouns: names of the object files.
    :raises ParamRefused: naming the Param, its value and what is allowed.
    """
    noun, places = params.get("object") or None, params.get("tables") or []
    if noun is not None and (not isinstance(noun, str) or noun.lower() not in nouns):
        raise ParamRefused(
            f"Param object is {noun!r:.120}; there are {', '.join(sorted(nouns))}. Trigger the run again."
        )
    if not isinstance(places, list | tuple) or (wrong := [one for one in places if one not in PLACES]):
        shown = places if not isinstance(places, list | tuple) else wrong[0]
        raise ParamRefused(f"Param tables has {shown!r:.120}; allowed are {', '.join(PLACES)}. Trigger the run again.")
    return UpkeepRequest(noun=noun.lower() if noun else None, places=tuple(places), dry_run=flag(params, "dry_run"))
