"""The end of a run, told: `on_failure_callback` and `on_success_callback` of the pipelines and of the upkeep.

Airflow calls them once for each run that ends, in the DAG processor, not for retries nor for each task; so a run that
failed is one alert, whatever failed after the first task did. docs/decisions/0006-a-ledger-of-alerts-and-a-watch.md
says more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from airflow.sdk import Context

from include.alerts.alert import Alert, Kind
from include.alerts.problem import kind_of_failure
from include.alerts.wording import one_line
from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile
from salesforce_history.alerts.alerting import tell
from salesforce_history.alerts.recovery import EndedRun, tell_recovered
from salesforce_history.alerts.unrecorded import record_if_missing
from salesforce_history.dag_objects import object_of
from salesforce_history.links import error_link, run_link, task_link
from salesforce_history.run_facts import RunFacts, facts_of

log = logging.getLogger(__name__)

_TASKS_NAMED = 10


def never_raises(callback: Callable[[Context], None]) -> Callable[[Context], None]:
    """A callback that raises is only logged by the DAG processor, where nobody looks; say what was not told.

    :param callback: the one to guard.
    """

    @wraps(callback)
    def guarded(context: Context) -> None:
        try:
            callback(context)
        except Exception:
            log.exception("the end of run %s of %s could not be told", context.get("run_id"), context.get("dag"))

    return guarded


@never_raises
def tell_of_failure(context: Context) -> None:
    """A DAG's `on_failure_callback`: one alert for a run that failed.

    :param context: Airflow's; where no task had failed it holds no more than dag, run_id and reason.
    """
    environment, dag, run_id = current_environment(), context["dag"], context["run_id"]
    object_file = object_of(dag.dag_id)
    reason = str(context.get("reason") or "")
    try:
        facts = facts_of(dag, run_id, object_file)
    except Exception:
        log.warning("little is known of run %s of %s", run_id, dag.dag_id, exc_info=True)
        facts = RunFacts()
    run: Any = context.get("dag_run")
    last: Any = context.get("ti")
    if reason == "timed_out":
        # What is in the way is the last unfinished task: one that failed before may have been made good, and is done.
        facts = replace(facts, failed=(last.task_id,) if last is not None else (), problem=None)
    elif not facts.failed and last is not None:
        facts = RunFacts(failed=(last.task_id,), window=facts.window, numbers=facts.numbers)
    alert = _alert(
        environment=environment,
        object_file=object_file,
        dag_id=dag.dag_id,
        run=EndedRun.of(dag.dag_id, run_id, run),
        reason=reason,
        facts=facts,
    )
    tell(alert, object_file=object_file)
    if reason == "timed_out" and object_file is not None:
        # Airflow skips the tasks of such a run, the last one too, which would have recorded it.
        record_if_missing(run_id, facts, error=alert.error, object_file=object_file, environment=environment)


@never_raises
def tell_of_recovery(context: Context) -> None:
    """A DAG's `on_success_callback`: if runs of it had failed and this one makes them good, say so once.

    :param context: Airflow's.
    """
    dag_id = context["dag"].dag_id
    tell_recovered(
        dag_id, EndedRun.of(dag_id, context["run_id"], context.get("dag_run")), object_file=object_of(dag_id)
    )


def _alert(
    *,
    environment: Environment,
    object_file: ObjectFile | None,
    dag_id: str,
    run: EndedRun,
    reason: str,
    facts: RunFacts,
) -> Alert:
    kind: Kind = kind_of_failure(reason, facts.tests) if object_file else "upkeep_failed"
    first = facts.failed[0] if facts.failed else ""
    problem = facts.problem
    links = {"log": task_link(dag_id, run.run_id, first)} if first else {}
    return Alert(
        kind=kind,
        key=f"{dag_id}/{run.run_id}/failed/{run.attempt}",
        environment=environment.name,
        object=object_file.object if object_file else "",
        dag_id=dag_id,
        run_id=run.run_id,
        interval=facts.window or run.interval,
        tasks=_named(facts.failed),
        headline=_headline(kind, first, facts, reason),
        error=f"{problem.error}: {problem.line}" if problem else _without_reason(kind, first, reason),
        stakes=_stakes(object_file, facts),
        remedy=_remedy(kind, first, facts, asked_for=run.asked_for),
        asked_for=run.asked_for,
        links={
            **links,
            "run": run_link(dag_id, run.run_id),
            "runbook": error_link(environment, problem.error if problem else "", kind),
        },
        at=run.ended_at,
    )


def _named(tasks: tuple[str, ...]) -> tuple[str, ...]:
    return tasks if len(tasks) <= _TASKS_NAMED else (*tasks[:_TASKS_NAMED], f"and {len(tasks) - _TASKS_NAMED} more")


def _headline(kind: Kind, first: str, facts: RunFacts, reason: str) -> str:
    tests = sorted(facts.tests)
    if kind == "run_timed_out":
        return f"the run was ended after too long{f', at {first}' if first else ''}"
    if kind == "critical_test_failed":
        return f"critical test failed: {', '.join(tests)}"
    if kind == "tests_failed":
        return f"{len(tests)} tests failed"
    what = f"{first} failed" if first else f"the run failed ({reason or 'no task did'})"
    return f"{what}: {facts.problem.error}" if facts.problem else what


def _without_reason(kind: Kind, first: str, reason: str) -> str:
    if kind == "run_timed_out":
        return "Airflow ended the run, because it had taken longer than dagrun_timeout allows."
    if first:
        return f"{first} ended without saying why (its worker was lost or killed): see its log."
    return one_line(f"No task failed; Airflow says {reason or 'nothing'}.")


def _stakes(object_file: ObjectFile | None, facts: RunFacts) -> str:
    if object_file is None:
        return "No data: runs and readers go on."
    words = {
        "rows_extracted": "records read",
        "rows_accepted": "accepted",
        "rows_quarantined": "quarantined",
        "observations_logged": "changes logged",
    }
    numbers = ", ".join(
        f"{facts.numbers[name]:,} {word}" for name, word in words.items() if facts.numbers.get(name) is not None
    )
    if facts.published:
        readers = f"{object_file.dimension} holds this run's versions, which failed their checks: tell its readers."
    else:
        readers = f"Not published: readers of {object_file.dimension} see what was published before."
    return f"{numbers or 'Nothing was read'}. {readers}"


def _remedy(kind: Kind, first: str, facts: RunFacts, *, asked_for: str) -> str:
    if first:
        clear = f"Then clear {first}: what follows it runs again."
    else:
        clear = "Then clear the run." if asked_for else "Then clear the run, or let the next one run."
    if kind == "run_timed_out":
        return f"Find out in the log why {first or 'it'} took so long. {clear}"
    if kind in ("critical_test_failed", "tests_failed"):
        return f"Look at the rows that the tests name, as the runbook says, and put their source right. {clear}"
    if facts.problem and facts.problem.remedy:
        return f"{facts.problem.remedy} {clear}"
    if facts.problem:
        return "Do as the error says; the runbook has more."
    return f"Look at the log for the cause. {clear}"
