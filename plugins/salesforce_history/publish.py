"""The end of a run: rebuild the history once if it failed, then say what the run did, or that it published nothing."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from include.flow import Flow
from include.lake.run_log import read_run, record_run
from include.lake.turn import give_back_turn, who_has_the_turn
from include.lake.version_counts import count_versions
from include.staging.manifest import ExtractionManifest, ReadPlan, UpsertManifest, ValidationManifest
from salesforce_history.assets import announce_published
from salesforce_history.dbt_group import can_be_rebuilt
from salesforce_history.operators import ObjectOperator

_VERSION_COLUMNS = ("versions_opened", "versions_closed", "versions_deleted", "versions", "records")


class HistoryNotPublished(AirflowFailException):
    """The run ends without having published the history. The message names what failed."""


class PublishMetricsOperator(ObjectOperator):
    """Record the run in `sf_ops.pipeline_runs`; fail the run if its history was not published.

    Runs whatever became of the tasks before it, because a failed run is recorded too, and because a rebuild that
    succeeded makes good a dbt task that failed.

    :param dbt_group: id of the Cosmos group.
    :param check_task: task id whose XCom is the `ReadPlan`.
    :param extract_task: task id whose XCom is the `ExtractionManifest`.
    :param validate_task: task id whose XCom is the `ValidationManifest`.
    :param upsert_task: task id whose XCom is the `UpsertManifest`.
    :param turn_task: task id whose XCom is the dimension's snapshot before dbt ran.
    :param rebuild_task: task id of the rebuild.
    """

    def __init__(
        self,
        *,
        dbt_group: str,
        check_task: str,
        extract_task: str,
        validate_task: str,
        upsert_task: str,
        turn_task: str,
        rebuild_task: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.dbt_group = dbt_group
        self.check_task = check_task
        self.extract_task = extract_task
        self.validate_task = validate_task
        self.upsert_task = upsert_task
        self.turn_task = turn_task
        self.rebuild_task = rebuild_task

    def work(self, context: Context) -> dict[str, Any]:
        flow = self.flow()
        try:
            return self._publish(context, flow)
        finally:
            give_back_turn(flow.catalog, flow.tables, run_id=context["run_id"])

    def _publish(self, context: Context, flow: Flow) -> dict[str, Any]:
        environment, catalog = flow.environment, flow.catalog
        states = context["ti"].get_task_states(dag_id=self.dag_id, run_ids=[context["run_id"]])[context["run_id"]]
        failed = sorted(task for task, state in states.items() if state == "failed" and task != self.task_id)
        rebuilt = states.get(self.rebuild_task) == "success"
        beyond_repair = [
            task for task in failed if not (rebuilt and can_be_rebuilt(task) and task.startswith(self.dbt_group))
        ]
        published = not beyond_repair
        row: dict[str, Any] = {
            "run_id": context["run_id"],
            "object": self.object_file.object,
            "environment": environment.name,
            "state": "success" if published else "failed",
            "history_rebuilt": rebuilt,
            "failed_tasks": ", ".join(failed) or None,
            **self._reading(context),
            **self._writing(context["ti"].xcom_pull(task_ids=self.upsert_task)),
        }
        known = self._published_before(context, flow) if published else None
        if known is not None:
            self.log.info("the run was published and recorded before; what it did then stays on record")
            row = known
        else:
            row |= self._versions(context, flow) if published else {}
            record_run(catalog, environment.operations_namespace, row)
        if not published:
            raise HistoryNotPublished(self._explain(failed, states))
        announce_published(context, flow, row)
        summary = {name: value for name, value in row.items() if isinstance(value, int) and not isinstance(value, bool)}
        self.log.info(
            "%s: %s", self.object_file.object, ", ".join(f"{name} {value:,}" for name, value in summary.items())
        )
        return summary

    def _published_before(self, context: Context, flow: Flow) -> dict[str, Any] | None:
        """The row of a run that has ended and was cleared since: others have had their turn, so counting again would
        tell what they did. None for a run that has its turn."""
        run_id, namespace = context["run_id"], flow.environment.operations_namespace
        if who_has_the_turn(flow.catalog, flow.tables) == run_id:
            return None
        known = read_run(flow.catalog, namespace, run_id=run_id, object_name=self.object_file.object)
        return known if known and known["state"] == "success" else None

    def _explain(self, failed: list[str], states: dict[str, str]) -> str:
        touched = states.get(f"{self.dbt_group}.{self.object_file.dimension}.run") == "success"
        readers = (
            f"{self.object_file.dimension} holds this run's versions, which failed their checks: tell its readers."
            if touched
            else "Readers see the state of the last good run."
        )
        return (
            f"{self.object_file.object}: {', '.join(failed)} failed, so the history is not published. {readers} "
            "Nothing that was logged is lost. Open the failed task's log for the cause and its remedy, then clear that "
            "task: everything after it runs again."
        )

    def _versions(self, context: Context, flow: Flow) -> dict[str, Any]:
        counts = count_versions(
            flow.catalog,
            f"{flow.environment.curated_namespace}.{self.object_file.dimension}",
            before=context["ti"].xcom_pull(task_ids=self.turn_task),
        )
        told = (counts.opened, counts.closed, counts.deleted, counts.versions, counts.current)
        return dict(zip(_VERSION_COLUMNS, told, strict=True))

    def _reading(self, context: Context) -> dict[str, Any]:
        """What the run read, as far as it got."""
        pull = context["ti"].xcom_pull
        validation, extraction, plan = (
            pull(task_ids=task) for task in (self.validate_task, self.extract_task, self.check_task)
        )
        row: dict[str, Any] = {}
        if validation:
            judged = ValidationManifest.model_validate(validation)
            row |= {"rows_accepted": judged.accepted, "rows_quarantined": judged.rejected}
        if extraction:
            read = ExtractionManifest.model_validate(extraction)
            row |= {
                "rows_extracted": read.stats.rows,
                "api_calls": read.stats.api_calls,
                "bytes_received": read.stats.bytes_received,
                "extraction_seconds": read.stats.seconds,
            }
        if plan:
            planned = ReadPlan.model_validate(plan)
            row |= {
                "kind": planned.window.kind,
                "full_refresh": planned.window.full_refresh,
                "window_start": planned.window.start,
                "window_end": planned.window.end,
                "api": planned.api,
            }
        return row

    def _writing(self, upsert: Any) -> dict[str, Any]:
        if not upsert:
            return {}
        manifest = UpsertManifest.model_validate(upsert)
        return {
            "observations_logged": manifest.logged,
            "deletions_found": manifest.deleted,
            "mirror_rows": manifest.mirror_rows,
            "watermark": manifest.watermark,
        }
