"""Taking turns: the histories of one object are brought up to date one run at a time.

`max_active_runs` does not count backfills, and a person may trigger what they like. Reading and the upsert bear any
company; dbt's intermediate tables do not, because they have the same names in every run.
"""

from __future__ import annotations

from functools import partial

from airflow.sdk import Context

from include.lake.holder import UPKEEP_DAG, run_of_holder
from salesforce_history.operators import ObjectOperator
from salesforce_history.params import ids_to_erase
from salesforce_history.run_ended import GIVE_BACK, RunEndedTrigger, holder_goes_on


class TakeTurnOperator(ObjectOperator):
    """Wait until no other run of this DAG is at its history; the task is deferred and holds no worker slot meanwhile.

    Returns the dimension's snapshot before this run's history, with which publish_metrics compares.
    """

    def work(self, context: Context) -> int | None:
        from include.lake.turn import take_turn
        from include.lake.version_counts import current_snapshot_id

        flow, run_id = self.flow(), context["run_id"]
        holder = take_turn(flow.catalog, flow.tables, run_id=run_id, goes_on=partial(holder_goes_on, self.dag_id))
        if holder is not None:
            self.log.info("run %s is at the history of %s; waiting until it has ended", holder, self.object_file.object)
            recheck = flow.environment.turn_recheck_seconds
            dag_id, holding_run = run_of_holder(holder, dag_id=self.dag_id)
            give_back = f"{self.object_file.noun}.{GIVE_BACK}" if dag_id == UPKEEP_DAG else None
            self.defer(
                trigger=RunEndedTrigger(dag_id=dag_id, run_id=holding_run, poll_interval=recheck, until_task=give_back),
                method_name="resume",
            )
        if ids := ids_to_erase(context["params"]):
            # Once more: the run whose turn it was may have published what it had read before upsert_raw erased it.
            flow.erase(ids, run_id=run_id)
        dimension = f"{flow.environment.curated_namespace}.{self.object_file.dimension}"
        return current_snapshot_id(flow.catalog, dimension)
