"""The row of a run in `sf_ops.pipeline_runs`, gathered from what its tasks told in XCom, as far as they got."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from include.alerts.wording import one_line, without_ids
from include.quality.dbt_tests import COULD_NOT_RUN, DbtResults
from include.quality.score import quality_score, success_rate
from include.staging.manifest import ExtractionManifest, ReadPlan, UpsertManifest, ValidationManifest
from salesforce_history.dbt_results import dbt_results_of_run
from salesforce_history.noting import PROBLEM
from salesforce_history.operators import JUDGED, WAITS_SINCE
from salesforce_history.timing import WORKED

if TYPE_CHECKING:
    from include.flow import Flow


@dataclass(frozen=True, kw_only=True)
class Tasks:
    """Ids of the tasks of a pipeline, in their order.

    :param check: its XCom is the `ReadPlan`.
    :param extract: its XCom is the `ExtractionManifest`.
    :param validate: its XCom is the `ValidationManifest`.
    :param upsert: its XCom is the `UpsertManifest`.
    :param turn: its XCom is the dimension's snapshot before dbt ran.
    :param dbt_group: the Cosmos group.
    :param rebuild: the rebuild of the history.
    """

    check: str
    extract: str
    validate: str
    upsert: str
    turn: str
    dbt_group: str
    rebuild: str

    def runs_dbt(self, task_id: str) -> bool:
        """Whether a task runs dbt, or watches it."""
        return task_id == self.rebuild or task_id.startswith(f"{self.dbt_group}.")

    def in_order(self, task_ids: Sequence[str]) -> list[str]:
        """Tasks in the order in which a run comes to them; those of dbt by name.

        :param task_ids: any of the pipeline's.
        """
        order = [self.check, self.extract, self.validate, self.upsert, self.turn, self.dbt_group, self.rebuild]
        places = {task: place for place, task in enumerate(order)}
        return sorted(task_ids, key=lambda task: (places.get(task.partition(".")[0], len(order)), task))


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """Gathers a run's row.

    :param context: of the run's last task.
    :param flow: object, environment and catalog.
    :param tasks: the pipeline's tasks.
    :param states: task → state.
    :param earlier: rows of the object's other runs, oldest first.
    """

    context: Context
    flow: Flow
    tasks: Tasks
    states: Mapping[str, str]
    earlier: Sequence[dict[str, Any]]

    def gather(self, *, published: bool, rebuilt: bool, failed: Sequence[str]) -> dict[str, Any]:
        """The row, but for the anomalies.

        :param published: whether the run has published its history.
        :param rebuilt: whether it did so by a rebuild.
        :param failed: tasks that failed.
        """
        results = dbt_results_of_run(self.context, [task for task in self.states if self.tasks.runs_dbt(task)])
        row: dict[str, Any] = {
            "run_id": self.context["run_id"],
            "object": self.flow.object_file.object,
            "environment": self.flow.environment.name,
            "state": "success" if published else "failed",
            "history_rebuilt": rebuilt,
            "failed_tasks": ", ".join(failed) or None,
            **self._reading(),
            **self._writing(),
            **_testing(results),
        }
        if published:
            row |= self._versions()
        row |= self._times(row)
        row["quality_score"] = _score(row)
        row["scd_success_rate"] = self._success_rate(row)
        row["error"] = self._error(failed, results)
        return row

    def _pull(self, task: str, key: str | None = None) -> Any:
        pull = self.context["ti"].xcom_pull
        return pull(task_ids=task, key=key) if key else pull(task_ids=task)

    def _reading(self) -> dict[str, Any]:
        """What the run read."""
        tasks = self.tasks
        row: dict[str, Any] = {}
        if judged := self._pull(tasks.validate) or self._pull(tasks.validate, JUDGED):
            validation = ValidationManifest.model_validate(judged)
            row |= {"rows_accepted": validation.accepted, "rows_quarantined": validation.rejected}
        if extraction := self._pull(tasks.extract):
            stats = ExtractionManifest.model_validate(extraction).stats
            row |= {
                "rows_extracted": stats.rows,
                "api_calls": stats.api_calls,
                "bytes_received": stats.bytes_received,
                "extraction_seconds": stats.seconds,
                "api_usage_percent": stats.api_usage_percent,
            }
        if (planned := self._plan()) is not None:
            row |= {
                "kind": planned.window.kind,
                "full_refresh": planned.window.full_refresh,
                "window_start": planned.window.start,
                "window_end": planned.window.end,
                "api": planned.api,
            }
        return row

    def _plan(self) -> ReadPlan | None:
        told = self._pull(self.tasks.check)
        return ReadPlan.model_validate(told) if told else None

    def _writing(self) -> dict[str, Any]:
        told = self._pull(self.tasks.upsert)
        if not told:
            return {}
        manifest = UpsertManifest.model_validate(told)
        return {
            "observations_logged": manifest.logged,
            "deletions_found": manifest.deleted,
            "mirror_rows": manifest.mirror_rows,
            "watermark": manifest.watermark,
        }

    def _versions(self) -> dict[str, Any]:
        from include.lake.version_counts import count_versions

        counts = count_versions(self.flow.catalog, self.flow.tables.dimension, before=self._pull(self.tasks.turn))
        return {
            "versions_opened": counts.opened,
            "versions_closed": counts.closed,
            "versions_deleted": counts.deleted,
            "versions": counts.versions,
            "records": counts.current,
            "live_records": counts.live,
        }

    def _times(self, row: Mapping[str, Any]) -> dict[str, Any]:
        now = datetime.now(UTC)
        checked, upserted = self._worked(self.tasks.check), self._worked(self.tasks.upsert)
        begun = checked[0] if checked else now
        if waited := self._pull(self.tasks.check, WAITS_SINCE):
            begun = min(begun, datetime.fromisoformat(waited))
        started = self._started() or begun
        times: dict[str, Any] = {"started_at": started, "finished_at": now, "run_seconds": _seconds(started, now)}
        if upserted and row.get("observations_logged") is not None:
            # A run that was cleared began anew, and maybe not with its first task.
            from_then = started if begun < started < upserted[1] else begun
            times["ingestion_seconds"] = _seconds(from_then, upserted[1])
        plan = self._plan()
        if plan and checked:
            # The org's clock: what the watermark is told by. It has gone on since it was asked.
            now = plan.planned_at + (now - checked[1])
        if watermark := self._published_watermark(row):
            times["freshness_seconds"] = _seconds(watermark, now)
        return times

    def _started(self) -> datetime | None:
        """When Airflow started the run, or started it again; None where it only repeats the run's date, as `dag.test`
        does."""
        dag_run = self.context["dag_run"]
        return None if dag_run.start_date in (dag_run.run_after, dag_run.logical_date) else dag_run.start_date

    def _worked(self, task: str) -> tuple[datetime, datetime] | None:
        told = self._pull(task, WORKED)
        return (datetime.fromisoformat(told[0]), datetime.fromisoformat(told[1])) if told else None

    def _published_watermark(self, row: Mapping[str, Any]) -> datetime | None:
        """Up to when readers see everything. A run that failed may have moved the mirror's watermark past that."""
        if row["state"] == "success":
            return row.get("watermark")
        moved = [one["watermark"] for one in self.earlier if one["state"] == "success" and one["watermark"]]
        return max(moved, default=None)

    def _success_rate(self, row: Mapping[str, Any]) -> float | None:
        reached = [one for one in (*self.earlier, row) if one.get("observations_logged") is not None]
        return success_rate([one["state"] == "success" for one in reached])

    def _error(self, failed: Sequence[str], results: DbtResults | None) -> str | None:
        for task in self.tasks.in_order(failed):
            told = self._pull(task, PROBLEM)
            line = told.get("line") if isinstance(told, dict) else None
            if results and results.error and self.tasks.runs_dbt(task):
                line = results.error
            if line:
                return f"{task}: {one_line(without_ids(line))}"
        return None


def _testing(results: DbtResults | None) -> dict[str, Any]:
    if results is None:
        return {}
    # A test that could not run has not passed either: the score counts it. Its name says that it is no finding.
    failed = [*results.named("failed"), *(f"{name}{COULD_NOT_RUN}" for name in results.named("errored"))]
    warned = results.named("warned")
    return {
        "dbt_tests": len(results.tests),
        "dbt_tests_failed": len(failed),
        "dbt_tests_warned": len(warned),
        "failed_tests": ", ".join(failed) or None,
        "warned_tests": ", ".join(warned) or None,
        "dbt_seconds": round(sum(results.seconds.values()), 3),
    }


def _score(row: Mapping[str, Any]) -> float | None:
    if row.get("rows_accepted") is None:
        return None
    return quality_score(
        accepted=row["rows_accepted"],
        quarantined=row["rows_quarantined"],
        tests=row.get("dbt_tests", 0),
        failed=row.get("dbt_tests_failed", 0),
        warned=row.get("dbt_tests_warned", 0),
    )


def _seconds(start: datetime, end: datetime) -> float:
    return round(max(0.0, (end - start).total_seconds()), 3)
