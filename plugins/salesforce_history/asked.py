"""What a run was asked for that no other run does: by whoever triggered it, or by a backfill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from include.alerts.wording import one_line, without_ids
from include.lake.holder import UPKEEP_DAG

BACKFILL = "backfill"

#: Params that only the run does which was given them.
_OF_A_PIPELINE = ("erase", "since", "until", "full_refresh", "replay_quarantine")
_OF_THE_UPKEEP = ("object", "tables", "dry_run")
#: Of these, a run that was given one leaves undone what every other run does.
_INSTEAD = ("since", "until", *_OF_THE_UPKEEP)
#: Whose values may be told: the others say all by their name, or are Ids.
_TOLD = ("since", "until", "object", "tables")
_LONGEST = 80


def asked_for(dag_id: str, conf: Mapping[str, Any], *, run_type: str) -> str:
    """What a run was asked for, in words without Ids; empty where it does what every run does.

    :param dag_id: the DAG, whose own Params count: other tools leave theirs in a run's configuration.
    :param conf: the run's configuration.
    :param run_type: Airflow's.
    """
    given = [f"{name} {_shown(conf[name])}" if name in _TOLD else name for name in _given(dag_id, conf)]
    return ", ".join(["a backfill", *given] if run_type == BACKFILL else given)


def does_something_else(dag_id: str, conf: Mapping[str, Any], *, run_type: str) -> bool:
    """Whether a run does not do what the next one does by itself, so that its success makes no other run good.

    One that reads everything, replays the quarantine or erases does so on top of what every run does.

    :param dag_id: the DAG.
    :param conf: the run's configuration.
    :param run_type: Airflow's.
    """
    return run_type == BACKFILL or any(name in _INSTEAD for name in _given(dag_id, conf))


def _given(dag_id: str, conf: Mapping[str, Any]) -> list[str]:
    known = _OF_THE_UPKEEP if dag_id == UPKEEP_DAG else _OF_A_PIPELINE
    return [name for name in known if conf.get(name)]


def _shown(value: Any) -> str:
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return one_line(without_ids(text), longest=_LONGEST)
