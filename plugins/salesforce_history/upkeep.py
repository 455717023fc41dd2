"""`lakehouse_maintenance`: once a week every table is compacted, its old snapshots expire, and left-overs go.

Each object's tables are looked after in its turn: dbt, which has no second try, never runs meanwhile. Reading and the
upsert go on beside it, because they plan again when somebody else has committed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, Context, CronTriggerTimetable, TaskGroup
from airflow.sdk.exceptions import AirflowSkipException

from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.lake.holder import UPKEEP_DAG, run_of_holder, upkeep_holder
from include.staging.lifetime import LONGEST_RUN
from include.upkeep.places import OBJECT_TABLES
from salesforce_history.alerts.callbacks import tell_of_failure, tell_of_recovery
from salesforce_history.dag_defaults import FIRST_INTERVAL, task_defaults
from salesforce_history.operators import ObjectOperator
from salesforce_history.run_ended import GIVE_BACK, RunEndedTrigger, goes_on, holder_goes_on
from salesforce_history.upkeep_request import (
    OPERATIONS,
    QUERY_RESULTS,
    STAGED,
    UpkeepRequest,
    upkeep_params,
    upkeep_request,
)

if TYPE_CHECKING:
    from include.flow import Flow
    from include.upkeep.tables import KeptTable

#: How long an upkeep waits for a moment at which no run of the object is going on.
_PATIENCE = timedelta(hours=2)


class UpkeepOperator(ObjectOperator):
    """What the tasks of an object's upkeep share: they hold its turn, and leave out what was not asked for."""

    def request(self, context: Context, place: str | None = None) -> UpkeepRequest:
        """What the run was asked for.

        :param context: the task's context.
        :param place: what this task looks after.
        :raises AirflowSkipException: if it is not among it.
        """
        request = upkeep_request(context["params"], read_object_files())
        if not request.concerns(self.object_file.noun, place):
            raise AirflowSkipException("not asked for")
        return request

    def hold_turn(self, context: Context, flow: Flow) -> None:
        """Have the object's turn, or wait for it, deferred: no worker slot is held meanwhile.

        A run that is going on is waited for though it is not at its history yet: what it has planned would have to be
        planned again. But not for ever: where runs follow each other without a gap, the turn alone is waited for, which
        is what keeps dbt and the upkeep apart.
        """
        from include.lake.turn import take_turn, who_has_the_turn

        holder, dag_id = upkeep_holder(context["run_id"]), self.object_file.dag_id
        if who_has_the_turn(flow.catalog, flow.tables) == holder:
            return
        waits_for: tuple[str, str | None] = (dag_id, None)
        began = context["dag_run"].start_date
        impatient = began is not None and datetime.now(UTC) - began > _PATIENCE
        if impatient or not goes_on(dag_id):
            other = take_turn(flow.catalog, flow.tables, run_id=holder, goes_on=partial(holder_goes_on, dag_id))
            if other is None:
                return
            waits_for = run_of_holder(other, dag_id=dag_id)
        self.log.info("a run of %s is going on; waiting until it has ended", waits_for[0])
        trigger = RunEndedTrigger(
            dag_id=waits_for[0], run_id=waits_for[1], poll_interval=flow.environment.turn_recheck_seconds
        )
        self.defer(trigger=trigger, method_name="resume")


class TakeObjectTurnOperator(UpkeepOperator):
    """Wait until no run of the object's DAG is going on, and take its turn: later ones wait at their take_turn."""

    def work(self, context: Context) -> None:
        request, flow = self.request(context), self.flow()
        if not flow.catalog.table_exists(flow.tables.ledger):
            raise AirflowSkipException(f"{self.object_file.object} has no tables yet")
        if not request.dry_run:
            self.hold_turn(context, flow)


class KeepTableOperator(UpkeepOperator):
    """Look after one table of an object. Returns what was done, before and after.

    :param place: which table, as the object file calls it.
    """

    def __init__(self, *, place: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.place = place

    def work(self, context: Context) -> dict[str, Any]:
        from include.upkeep.tables import object_tables

        request, flow = self.request(context, self.place), self.flow()
        if not request.dry_run:
            self.hold_turn(context, flow)  # once more: the task may have been cleared
        kept = next(one for one in object_tables(self.object_file, flow.environment) if one.place == self.place)
        report = _keep(flow.catalog, kept, flow.environment, request, run_id=context["run_id"])
        if report is None:
            raise AirflowSkipException(f"there is no {kept.identifier} yet")
        return report


class ExpireStagedOperator(UpkeepOperator):
    """Remove the files that runs have staged long ago. Returns how many runs' they were."""

    def work(self, context: Context) -> int:
        from include.upkeep.staged import expire_staged

        request, environment = self.request(context, STAGED), current_environment()
        folders = expire_staged(
            environment.staging_uri,
            self.object_file.table,
            keep=self.object_file.upkeep.keep_staged,
            now=datetime.now(UTC),
            dry_run=request.dry_run,
        )
        self.log.info("%s: staged files of %d runs removed", self.object_file.table, len(folders))
        return len(folders)


class GiveBackObjectTurnOperator(ObjectOperator):
    """Give the object's turn back, whatever has become of its tables."""

    def work(self, context: Context) -> None:
        from include.lake.turn import give_back_turn

        flow = self.flow()
        give_back_turn(flow.catalog, flow.tables, run_id=upkeep_holder(context["run_id"]))


class KeepOperationsOperator(BaseOperator):
    """Look after the tables about runs. Each is done, whatever becomes of the others."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Look after them, one after the other.

        :return: report by table.
        """
        from include.upkeep.tables import operations_tables
        from salesforce_history.connections import lake_catalog

        request, environment = _request(context, OPERATIONS), current_environment()
        catalog = lake_catalog(environment.iceberg_conn_id)
        reports, problems = {}, {}
        for kept in operations_tables(catalog, environment):
            try:
                reports[kept.identifier] = _keep(catalog, kept, environment, request, run_id=context["run_id"])
            except Exception as problem:
                self.log.exception("%s", kept.identifier)
                problems[kept.identifier] = problem
        if problems:
            raise next(iter(problems.values()))
        return reports


class ExpireQueryResultsOperator(BaseOperator):
    """Remove what Athena has left of old queries. Returns how many files."""

    def execute(self, context: Context) -> int:
        """Remove it."""
        from include.upkeep.staged import expire_query_results

        request, environment = _request(context, QUERY_RESULTS), current_environment()
        if not environment.query_results_uri:
            raise AirflowSkipException("this environment has no folder of query results")
        found = expire_query_results(
            environment.query_results_uri,
            keep=environment.keep_query_results,
            now=datetime.now(UTC),
            dry_run=request.dry_run,
        )
        self.log.info("%s: %d files removed", environment.query_results_uri, len(found))
        return len(found)


def _request(context: Context, place: str) -> UpkeepRequest:
    request = upkeep_request(context["params"], read_object_files())
    if not request.concerns(None, place):
        raise AirflowSkipException("not asked for")
    return request


def _keep(
    catalog: Any, kept: KeptTable, environment: Environment, request: UpkeepRequest, *, run_id: str
) -> dict[str, Any] | None:
    from include.upkeep.upkeep_log import record_upkeep
    from salesforce_history.engines import keep_table

    report = keep_table(catalog, kept, environment, now=datetime.now(UTC), dry_run=request.dry_run)
    if report is None:
        return None
    if not report.dry_run:
        record_upkeep(catalog, environment.operations_namespace, report, run_id=run_id, environment=environment.name)
    return report.as_json()


def build_upkeep() -> DAG:
    """The DAG that keeps the tables of every object small, and the tables about runs."""
    environment, objects = current_environment(), read_object_files().values()
    with DAG(
        dag_id=UPKEEP_DAG,
        description="Compacts every table, expires old snapshots, removes left-overs",
        doc_md=_DOC,
        schedule=CronTriggerTimetable(environment.upkeep_schedule, timezone="UTC"),
        start_date=FIRST_INTERVAL,
        catchup=False,
        max_active_runs=1,
        # In the cloud it starts by itself, whatever Airflow does with new DAGs: nobody misses an upkeep until it hurts.
        is_paused_upon_creation=None if environment.name == "local" else False,
        # One table at a time is enough: it is Saturday night.
        max_active_tasks=1,
        dagrun_timeout=LONGEST_RUN,
        params=upkeep_params(),
        on_failure_callback=tell_of_failure,
        on_success_callback=tell_of_recovery,
        tags=["salesforce", "upkeep"],
        default_args=task_defaults(environment),
        render_template_as_native_obj=False,
    ) as dag:
        for object_file in objects:
            _object_group(object_file, environment)
        KeepOperationsOperator(task_id=OPERATIONS)
        ExpireQueryResultsOperator(task_id=QUERY_RESULTS)
    return dag


def _object_group(object_file: ObjectFile, environment: Environment) -> None:
    with TaskGroup(group_id=object_file.noun):
        take = TakeObjectTurnOperator(task_id="take_turn", object_file=object_file)
        tables = [
            KeepTableOperator(task_id=place, object_file=object_file, place=place, pool=environment.dbt_pool)
            for place in OBJECT_TABLES
        ]
        give_back = GiveBackObjectTurnOperator(task_id=GIVE_BACK, object_file=object_file)
        take >> tables >> give_back.as_teardown(setups=take)
        ExpireStagedOperator(task_id=STAGED, object_file=object_file)


_DOC = """
### The upkeep of the lake

Once a week, for each object in its turn: small files become large ones, rows that were deleted by position go for
good, old snapshots expire, files that nobody refers to are removed, and so are staged files of old runs. Then the
tables about runs, and Athena's query results. A pipeline that starts meanwhile reads and logs, and waits at its
`take_turn`.

Every table's size before and after is in the task's log and in `sf_ops.upkeep`. What stays how long is in section
`upkeep` of the object file; see docs/upkeep.md. Every task can be cleared and run again at any time.

**Trigger** it with a form: one object, some tables, or a look only (`dry_run`).
"""
