"""The end of a run: was its history published? It is put on record, measured, and told of where a number is odd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException

from include.alerts.anomaly import as_column, find_anomalies
from salesforce_history.assets import announce_published
from salesforce_history.made_good import failed_for_good
from salesforce_history.metrics import emit, metric_data
from salesforce_history.operators import ObjectOperator
from salesforce_history.run_row import RunRow, Tasks

if TYPE_CHECKING:
    from include.flow import Flow
    from include.lake.table_sizes import TableSize


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
        self.tasks = Tasks(
            check=check_task,
            extract=extract_task,
            validate=validate_task,
            upsert=upsert_task,
            turn=turn_task,
            dbt_group=dbt_group,
            rebuild=rebuild_task,
        )

    def work(self, context: Context) -> dict[str, Any]:
        from include.lake.turn import give_back_turn

        flow = self.flow()
        try:
            return self._publish(context, flow)
        finally:
            give_back_turn(flow.catalog, flow.tables, run_id=context["run_id"])

    def _publish(self, context: Context, flow: Flow) -> dict[str, Any]:
        states = context["ti"].get_task_states(dag_id=self.dag_id, run_ids=[context["run_id"]])[context["run_id"]]
        failed = sorted(task for task, state in states.items() if state == "failed" and task != self.task_id)
        rebuilt = states.get(self.tasks.rebuild) == "success"
        lost = failed_for_good(states, dbt_group=self.tasks.dbt_group, rebuild=self.tasks.rebuild)
        published = not set(lost) - {self.task_id}
        row = self._published_before(context, flow) if published else None
        if row is not None:
            self.log.info("the run was published and recorded before; what it did then stays on record")
        else:
            row = self._record(context, flow, states, published=published, rebuilt=rebuilt, failed=failed)
        if not published:
            raise HistoryNotPublished(self._explain(failed, states))
        announce_published(context, flow, row)
        summary = {name: value for name, value in row.items() if isinstance(value, int) and not isinstance(value, bool)}
        self.log.info(
            "%s: %s", self.object_file.object, ", ".join(f"{name} {value:,}" for name, value in summary.items())
        )
        return summary

    def _record(
        self,
        context: Context,
        flow: Flow,
        states: dict[str, str],
        *,
        published: bool,
        rebuilt: bool,
        failed: list[str],
    ) -> dict[str, Any]:
        """Put the run on record, and its numbers where people look. Only the record itself may fail the task."""
        from include.lake.run_log import read_runs, record_run
        from salesforce_history.alerts.anomalies import tell_of_anomalies
        from salesforce_history.alerts.notices import tell_of_run_warnings

        namespace, name = flow.environment.operations_namespace, self.object_file.object
        others = read_runs(flow.catalog, namespace, object_name=name).to_pylist()
        earlier = [one for one in others if one["run_id"] != context["run_id"]]
        gathered = RunRow(context=context, flow=flow, tasks=self.tasks, states=states, earlier=earlier)
        row = gathered.gather(published=published, rebuilt=rebuilt, failed=failed)
        anomalies = find_anomalies(
            live_records=row.get("live_records"),
            quality_score=row["quality_score"] if published else None,
            expected_rows=self.object_file.expected_rows,
            earlier=[one for one in earlier if one["state"] == "success"],
        )
        row["anomalies"] = as_column(anomalies)
        record_run(flow.catalog, namespace, row)
        sizes = self._measure(flow, context["run_id"])
        emit(flow.environment, metric_data(row, sizes, environment=flow.environment.name, object_name=name))
        if flow.environment.dbt_execution == "watcher" and (warned := row.get("warned_tests")):
            tell_of_run_warnings(context, warned.split(", "))
        tell_of_anomalies(anomalies, row, object_file=self.object_file, environment=flow.environment)
        return row

    def _measure(self, flow: Flow, run_id: str) -> list[TableSize]:
        from include.lake.table_sizes import measure_tables, record_sizes

        namespace = flow.environment.operations_namespace
        try:
            sizes = measure_tables(flow.catalog, flow.tables, operations_namespace=namespace)
            record_sizes(
                flow.catalog,
                namespace,
                sizes,
                run_id=run_id,
                object_name=self.object_file.object,
                environment=flow.environment.name,
            )
        except Exception as problem:  # noqa: BLE001 a run that published does not fail because nobody could measure
            self.log.warning("the tables' sizes are not on record: %s: %s", type(problem).__name__, problem)
            return []
        return sizes

    def _published_before(self, context: Context, flow: Flow) -> dict[str, Any] | None:
        """The row of a run that has ended and was cleared since: others have had their turn, so counting again would
        tell what they did. None for a run that has its turn."""
        from include.lake.run_log import read_run
        from include.lake.turn import who_has_the_turn

        run_id, namespace = context["run_id"], flow.environment.operations_namespace
        if who_has_the_turn(flow.catalog, flow.tables) == run_id:
            return None
        known = read_run(flow.catalog, namespace, run_id=run_id, object_name=self.object_file.object)
        return known if known and known["state"] == "success" else None

    def _explain(self, failed: list[str], states: dict[str, str]) -> str:
        touched = states.get(f"{self.tasks.dbt_group}.{self.object_file.dimension}.run") == "success"
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
