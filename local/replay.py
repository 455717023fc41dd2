"""`make run`: replay a scenario. The org lives through it, and the real DAGs run over every six-hour interval of it.

The DAGs run inside this process, as `airflow dags test` runs them, so that dbt stays warm from task to task.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from include.config.object_file import ObjectFileError
from local.airflow_home import PROJECT, AirflowHome
from local.exclusive import LakeInUse, only_one
from local.org.handle import OrgHandle, start_org
from local.org.scenario import Run, Scenario, ScenarioError, load_scenario, six_hour_runs
from local.progress import TaskLines, output_to
from local.story import write as write_story

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from include.config.object_file import ObjectFile


class ReplayFailed(RuntimeError):
    """A DAG run of the replay failed; the message says which, why, and where its log is.

    :param run_id: Airflow's run id; empty where no run had begun.
    """

    def __init__(self, message: str, *, run_id: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id


def replay(home: AirflowHome, scenario: Scenario, *, keep: bool, console: Console) -> None:
    """Run a scenario's intervals and print the report.

    :param home: where lake, org and Airflow live.
    :param scenario: what happens in the org.
    :param keep: go on from the lake and the org as they are; otherwise both begin empty.
    :param console: where progress and report go.
    :raises ReplayFailed: at the first DAG run that fails; the intervals before it stand.
    """
    objects = _object_files(scenario)
    if not keep:
        for folder in (home.lake, home.org):
            shutil.rmtree(folder, ignore_errors=True)
    with start_org(home=home.org) as org:
        loaded = org.load_events(scenario)["read"]
        console.print(f"org {org.org_id} on loopback lives through {loaded:,} events of {scenario.path.name}")
        variables = home.variables(org)
        os.environ.update(variables)
        sys.path[:0] = variables["PYTHONPATH"].split(os.pathsep)
        home.prepare(variables, fresh=not keep)
        dags = _load_dags(objects)
        runs = six_hour_runs(scenario)
        if keep:
            _take_over(home, dags, runs, console)
        run_ids = _run_all(dags, runs, org, console)

    from include.config.environment import current_environment
    from local.report import print_report

    console.print()
    print_report(console, current_environment(), [object_file for object_file, _ in dags.values()], run_ids=run_ids)


def _run_all(dags: dict[str, tuple[ObjectFile, DAG]], runs: list[Run], org: OrgHandle, console: Console) -> set[str]:
    from airflow.sdk.listener import get_listener_manager

    from local.task_listener import TaskListener
    from local.warm import warm_up

    warm_up()
    lines = TaskLines(console)
    get_listener_manager().add_listener(TaskListener(lines))
    run_ids = set()
    for number, run in enumerate(runs, start=1):
        org.set_clock(run.end)
        for name, (_, dag) in dags.items():
            refresh = name in run.full_refresh
            console.print(
                f"\n[bold]{number}/{len(runs)}  {dag.dag_id}[/]  {run.start:%Y-%m-%d %H:%M} → {run.end:%H:%M}"
                f"{'  full refresh' if refresh else ''}"
            )
            run_ids.add(_run_one(dag, run, refresh=refresh, lines=lines))
    return run_ids


def _take_over(home: AirflowHome, dags: dict[str, tuple[ObjectFile, DAG]], runs: list[Run], console: Console) -> None:
    """Go on from a kept lake: a replay that was killed has no turn any more, and the watermark is where it is."""
    from include.config.environment import current_environment
    from include.lake.names import RawTables
    from include.lake.turn import give_back_turn
    from include.lake.watermark import read_lake_state
    from local.lake.catalog import lake_folder

    catalog = lake_folder(home.lake).open_catalog()
    for object_file, dag in dags.values():
        tables = RawTables.of(object_file, current_environment())
        give_back_turn(catalog, tables, run_id=None)
        watermark = read_lake_state(catalog, tables).watermark
        past = [run for run in runs if watermark and run.end <= watermark]
        if watermark and past:
            console.print(
                f"[yellow]{dag.dag_id} has read everything up to {watermark:%Y-%m-%d %H:%M}; intervals that lie before "
                f"it: {len(past)} of {len(runs)}. What the scenario adds there is seen by the next full refresh, which "
                "an event with op refresh asks for.[/]"
            )


def _run_one(dag: DAG, run: Run, *, refresh: bool, lines: TaskLines) -> str:
    from local.warm import keep_what_is_there

    began = time.monotonic()
    keep_what_is_there()
    dag_run: Any = dag.test(logical_date=run.end, run_after=run.end, run_conf={"full_refresh": refresh})
    if str(getattr(dag_run.state, "value", dag_run.state)) != "success":
        told = "\n".join(f"  {task}: {error}" for task, error in lines.failures) or "  no task said why"
        message = f"{dag.dag_id} failed for the interval that ends at {run.end:%Y-%m-%d %H:%M}:\n{told}"
        raise ReplayFailed(message, run_id=str(dag_run.run_id))
    lines.console.print(f"    [dim]{time.monotonic() - began:.1f} s[/]")
    return str(dag_run.run_id)


def _object_files(scenario: Scenario) -> dict[str, ObjectFile]:
    """The object file of every object that a scenario names.

    :raises ReplayFailed: if one has none; nothing has been touched then.
    """
    from include.config.object_file import read_object_files

    known = {object_file.object: object_file for object_file in read_object_files().values()}
    if unknown := [name for name in scenario.objects if name not in known]:
        raise ReplayFailed(
            f"the scenario names {', '.join(unknown)}, but include/objects/ has no file for it; there are "
            f"{', '.join(known)}. Nothing was touched."
        )
    return {name: known[name] for name in scenario.objects}


def _load_dags(objects: dict[str, ObjectFile]) -> dict[str, tuple[ObjectFile, DAG]]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"], include_examples=False)
    if bag.import_errors:
        raise ReplayFailed("the DAGs do not parse:\n" + "\n".join(bag.import_errors.values()))
    return {name: (object_file, bag.dags[object_file.dag_id]) for name, object_file in objects.items()}


def main(arguments: list[str] | None = None) -> int:
    """The command behind `make run`.

    :return: 0; 1 where a DAG run failed; 2 where the scenario is wrong or the lake is in use.
    """
    parser = argparse.ArgumentParser(
        prog="make run",
        description="Replay a scenario of a simulated Salesforce org through the real pipeline, then report.",
    )
    parser.add_argument("--scenario", type=Path, help="JSON lines; default: one day of 5,000 users (SCENARIO=path)")
    parser.add_argument("--keep", action="store_true", help="go on from the lake as it is (KEEP=1)")
    parser.add_argument("--root", type=Path, default=PROJECT / ".local", help="where everything lives")
    options = parser.parse_args(arguments)
    home = AirflowHome(options.root)
    problems = Console(stderr=True, highlight=False, soft_wrap=True)
    began = time.monotonic()
    try:
        with only_one(home.root, purpose="make run"):
            scenario = load_scenario(options.scenario or write_story(home.root / "default_scenario.jsonl"))
            if not scenario.events:
                problems.print(f"{scenario.path} holds no event: there is nothing to run", style="red", markup=False)
                return 2
            log = home.logs / "run.log"
            log.unlink(missing_ok=True)
            with output_to(log) as console:
                replay(home, scenario, keep=options.keep, console=console)
    except FileNotFoundError as problem:
        problems.print(f"there is no file {problem.filename}; give SCENARIO=path", style="red", markup=False)
        return 2
    except (ScenarioError, LakeInUse, ObjectFileError, OSError) as problem:
        problems.print(str(problem), style="red", markup=False)
        return 2
    except ReplayFailed as problem:
        problems.print(str(problem), style="red", markup=False)
        if problem.run_id:
            _print_what_was_told(problems, home, problem.run_id)
        problems.print(f"The whole log: {_shown(home.logs / 'run.log')}")
        return 1
    problems.print(
        f"\nDone in {time.monotonic() - began:.0f} s. Ask the lake yourself: "
        'make sql Q="select * from sf_curated.dim_sf_user_scd limit 5"',
        style="dim",
    )
    return 0


def _print_what_was_told(console: Console, home: AirflowHome, run_id: str) -> None:
    """Whom the failed run would have woken, and how to go on here, where no Airflow is left to clear a task in."""
    from include.config.environment import current_environment
    from local.lake.catalog import lake_folder
    from local.report_operations import print_alerts

    print_alerts(console, lake_folder(home.lake).open_catalog(), current_environment(), run_ids={run_id})
    console.print(
        "\nHere nothing can be cleared: put right what the error names, then go on with events that come later, "
        "make run KEEP=1 SCENARIO=more.jsonl. Records that were refused: make quarantine.",
        soft_wrap=True,
    )


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    sys.exit(main())
