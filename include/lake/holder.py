"""Who holds a turn: a run of the object's DAG, told by its id, or one of the upkeep, with its DAG's name before it."""

from __future__ import annotations

#: The DAG that keeps the tables small; its runs hold a turn as well.
UPKEEP_DAG = "lakehouse_maintenance"


def upkeep_holder(run_id: str) -> str:
    """As whom a run of the upkeep takes turns.

    :param run_id: Airflow's run id.
    """
    return f"{UPKEEP_DAG}/{run_id}"


def run_of_holder(holder: str, *, dag_id: str) -> tuple[str, str]:
    """DAG and run that hold a turn.

    :param holder: what the turn says.
    :param dag_id: the object's own DAG.
    """
    prefix = f"{UPKEEP_DAG}/"
    return (UPKEEP_DAG, holder.removeprefix(prefix)) if holder.startswith(prefix) else (dag_id, holder)
