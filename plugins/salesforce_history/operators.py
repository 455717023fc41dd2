"""The pipeline's own operators. Each is a thin shell: read what XCom says, call `include`, return a manifest.

What only the work needs is imported by it: every task parses its DAG, and most of them never touch the lake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile
from include.lake.denied import denial
from include.salesforce.errors import (
    ApiLimitReached,
    ApiReserveReached,
    BulkJobFailed,
    IncompleteRead,
    QueryCursorLost,
    QueryTooSlow,
    SalesforceProblem,
    SourceUnavailable,
)
from include.salesforce.window import RunRequest
from include.staging.manifest import ExtractionManifest, ReadPlan, ValidationManifest
from salesforce_history.assets import announce_rejected, announce_upsert
from salesforce_history.noting import noting_problems
from salesforce_history.params import flag, ids_to_erase, moment, refuse_misspelt
from salesforce_history.sql_engines import sql_engine
from salesforce_history.timing import timed

if TYPE_CHECKING:
    from include.flow import Flow
    from include.salesforce.client import SalesforceClient

#: XCom key of upsert_raw: the `ReplayManifest`, if the run was asked to replay the quarantine.
REPLAY = "quarantine_replay"

#: XCom key of validate: the `ValidationManifest` of a run of which too many records were rejected.
JUDGED = "judged"

#: XCom key of a task that waits for API requests: since when.
WAITS_SINCE = "waits_for_quota_since"

#: Problems that another attempt may not meet: Airflow retries them.
PASSES_BY_ITSELF = (SourceUnavailable, BulkJobFailed, IncompleteRead, QueryTooSlow, QueryCursorLost)
#: Problems that the passing of time solves, if nobody hammers meanwhile: the task is deferred.
WAITS_FOR_QUOTA = (ApiReserveReached, ApiLimitReached)


class ObjectOperator(BaseOperator):
    """What the operators share: the object they are about.

    :param object_file: the validated object file.
    """

    ui_color = "#d8ecff"

    #: What the task has done: the manifest that it was given, if any, and its own. OpenLineage asks for it.
    done: tuple[Any, ...] = ()

    def __init__(self, *, object_file: ObjectFile, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.object_file = object_file

    def execute(self, context: Context) -> Any:
        """Do the work. A problem that needs a person fails the task at once; its message says what to do."""
        with timed(context):
            return self._guarded(context)

    def resume(self, context: Context, event: Any = None) -> Any:
        """Go on after having waited: from the start, because what was read before may have changed.

        :param event: the trigger's; it says no more than that the waiting is over.
        """
        with timed(context):
            return self._guarded(context)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """What the task has read and written. Airflow asks only where OpenLineage is configured.

        :param task_instance: the task's.
        """
        from salesforce_history.lineage import lineage_of

        return lineage_of(self.done, open_flow=self.flow)

    def _guarded(self, context: Context) -> Any:
        # Outside, because what ends in a deferral, which is no Exception, is no problem: its XCom would outlive it.
        with noting_problems(context):
            try:
                return self.work(context)
            except WAITS_FOR_QUOTA as problem:
                self._wait_for_quota(context, problem)
            except PASSES_BY_ITSELF:
                raise
            except Exception as problem:
                from salesforce_history.problems import NEEDS_A_PERSON

                if isinstance(problem, NEEDS_A_PERSON):
                    self.log.error("%s", problem)
                    raise AirflowFailException(str(problem)) from problem
                if (refused := denial(problem)) is None:
                    raise
                refused.__cause__ = problem
                self.log.error("%s", refused)
                raise AirflowFailException(str(refused)) from refused

    def _wait_for_quota(self, context: Context, problem: SalesforceProblem) -> NoReturn:
        """Defer the task, which then holds no worker slot, unless it has waited long enough."""
        environment = current_environment()
        # In an XCom, which outlives a deferral and nothing else: `dag.test` drops the arguments of a deferral.
        said = context["ti"].xcom_pull(task_ids=self.task_id, key=WAITS_SINCE)
        now = datetime.now(UTC).replace(microsecond=0)
        since = datetime.fromisoformat(said) if said else now
        end = since + timedelta(seconds=environment.api_usage_patience_seconds)
        if now > end:
            self.log.error("%s", problem)
            raise AirflowFailException(f"{problem} The task has waited since {since}; it gives up.") from problem
        if not said:
            context["ti"].xcom_push(key=WAITS_SINCE, value=since.isoformat())
        wait = timedelta(seconds=environment.api_usage_recheck_seconds)
        self.log.warning("%s Looking again in %s; the task waits until %s at most.", problem, wait, end)
        self.defer(trigger=TimeDeltaTrigger(wait), method_name="resume")

    def flow(self) -> Flow:
        """The steps for this object, over the environment's lake."""
        from include.flow import Flow
        from salesforce_history.connections import lake_catalog

        environment = current_environment()
        catalog = lake_catalog(environment.iceberg_conn_id)
        return Flow(
            object_file=self.object_file, environment=environment, catalog=catalog, engine=sql_engine(environment)
        )

    def work(self, context: Context) -> Any:
        """What the operator does.

        :return: a manifest as plain JSON, for XCom.
        """
        raise NotImplementedError


class CheckSourceOperator(ObjectOperator):
    """Ask before reading: does the login work, is there quota, which fields are there, which window is due?

    Returns a `ReadPlan`. Refuses a connection to another org than the lake's.
    """

    def work(self, context: Context) -> dict[str, Any]:
        from salesforce_history.alerts.notices import tell_of_drift

        flow = self.flow()
        refuse_misspelt(context["dag_run"].conf or {})
        ids_to_erase(context["params"])
        plan = flow.check_source(_reserved_client(flow.environment), run_request(context), run_id=context["run_id"])
        tell_of_drift(context, self.object_file, plan.drift)
        return plan.model_dump(mode="json")


class ExtractOperator(ObjectOperator):
    """Read the window from Salesforce into staged Parquet, and prove that the read was complete.

    :param plan: the `ReadPlan` of check_source.
    """

    template_fields: Sequence[str] = ("plan",)

    def __init__(self, *, plan: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan

    def work(self, context: Context) -> dict[str, Any]:
        flow = self.flow()
        manifest = flow.extract(_reserved_client(flow.environment), ReadPlan.model_validate(self.plan))
        self.done = (manifest,)
        return manifest.model_dump(mode="json")


class ValidateOperator(ObjectOperator):
    """Accept or quarantine every staged record; stop the run if too many are rejected.

    :param extraction: the `ExtractionManifest` of extract.
    """

    template_fields: Sequence[str] = ("extraction",)

    def __init__(self, *, extraction: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.extraction = extraction

    def work(self, context: Context) -> dict[str, Any]:
        from include.quality.validation import TooManyRejects

        flow = self.flow()
        try:
            manifest = flow.validate(ExtractionManifest.model_validate(self.extraction))
        except TooManyRejects as problem:
            context["ti"].xcom_push(key=JUDGED, value=problem.judged.model_dump(mode="json"))
            raise
        self.done = (manifest,)
        announce_rejected(context, flow, manifest)
        return manifest.model_dump(mode="json")


class IcebergUpsertOperator(ObjectOperator):
    """Append what is new to the changes log, then bring the mirror and its watermark forward in one commit.

    First it removes whom the Param `erase` names and replays the quarantine, if it was asked to.

    :param validation: the `ValidationManifest` of validate.
    """

    template_fields: Sequence[str] = ("validation",)

    def __init__(self, *, validation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validation = validation

    def work(self, context: Context) -> dict[str, Any]:
        flow = self.flow()
        validation = ValidationManifest.model_validate(self.validation)
        params = context["params"]
        if ids := ids_to_erase(params):
            # Before the upsert, so that the dbt models of this very run build their tables without them.
            flow.erase(ids, run_id=context["run_id"], org_id=validation.extraction.plan.org_id)
        replay = flow.replay_quarantine() if flag(params, "replay_quarantine") else None
        if replay:
            context["ti"].xcom_push(key=REPLAY, value=replay.model_dump(mode="json"))
        manifest = flow.upsert(validation)
        self.done = (validation, manifest, replay)
        announce_upsert(context, flow, manifest, replay)
        return manifest.model_dump(mode="json")


def _reserved_client(environment: Environment) -> SalesforceClient:
    from salesforce_history.connections import salesforce_client

    return salesforce_client(environment, max_api_usage_percentage=environment.max_api_usage_percentage)


def run_request(context: Context) -> RunRequest:
    """What Airflow knows about a run, in the words of the window's planning.

    Asset-triggered runs and whatever else Airflow may invent go on from the watermark, as manual ones do.

    :param context: the task's context; `logical_date` and the data interval may be absent.
    """
    dag_run = context["dag_run"]
    run_type = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    params = context["params"]
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    return RunRequest(
        kind="scheduled" if run_type == "scheduled" else "backfill" if run_type == "backfill" else "manual",
        run_after=dag_run.run_after,
        logical_date=dag_run.logical_date,
        interval=(start, end) if start and end else None,
        since=moment(params, "since"),
        until=moment(params, "until"),
        full_refresh=flag(params, "full_refresh"),
    )
