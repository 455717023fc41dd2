"""Stories of runs that are killed: each in a process of its own, by SIGKILL, and then simply made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from local.faults.bench import RUNS, numbered_run
from local.faults.killing import AtCommit, Fate, Run, live_run, strike
from local.faults.story import Stage, Story
from local.faults.world import write_world
from local.org.faults import JOBS, EndJob, Fault

_TASKS = ("check_source", "extract", "validate", "upsert_raw")
_A_MOMENT = 0.01


def stories() -> list[Story]:
    """Every story of this module."""
    return [
        Story(fault="killed 10 times while extracting", play=_extracting),
        Story(fault="killed 10 times while extracting", play=_extracting, api="bulk"),
        Story(fault="killed while a Bulk job runs", play=_polling, api="bulk"),
        Story(fault="killed once in every task", play=_every_task),
        Story(fault="killed between log and mirror commit", play=_between_commits),
    ]


def _extracting(stage: Stage) -> None:
    run = _first_load(stage)
    for number in range(10):
        _died(stage, strike(live_run, run, None, mark="extract", after=number * _A_MOMENT / 2, log=_log(stage)))
        run.clear()
    _made_again(stage, run, "killed 10 times in extract")


def _polling(stage: Stage) -> None:
    run = _first_load(stage)
    for _ in range(3):
        stage.org.set_faults([Fault(do=EndJob(state="InProgress"), method="POST", path=JOBS)])
        _died(stage, strike(live_run, run, None, mark="extract", after=50 * _A_MOMENT, log=_log(stage)))
        stage.expect(stage.org.faults_struck() == [1], "it was killed before there was a job")
    stage.org.clear_faults()
    _made_again(stage, run, "killed 3 times while its Bulk job ran")


def _every_task(stage: Stage) -> None:
    run = _first_load(stage)
    for task in _TASKS:
        fate = strike(live_run, run, None, mark=task, after=0, log=_log(stage))
        _died(stage, fate)
    _made_again(stage, run, "killed in each task")


def _between_commits(stage: Stage) -> None:
    run = _first_load(stage)
    rehearsal = strike(live_run, replace(run, folder=stage.folder / "rehearsal"), None, log=_log(stage))
    log_commit = sum(mark.startswith("commit") for mark, _ in rehearsal.marks) - 1  # the last one is the mirror's
    _died(stage, strike(live_run, run, AtCommit(nth=log_commit, side="after"), log=_log(stage)))
    bench = stage.bench()
    logged = bench.flow.catalog.load_table(bench.flow.tables.changes).scan().count()
    stage.expect(logged > 0 and not bench.lake().mirror, f"{logged} rows in the log, {len(bench.lake().mirror)} users")
    _made_again(stage, run, "killed after the log's commit")


def _first_load(stage: Stage) -> Run:
    write_world(stage.folder / "world.jsonl")
    stage.org.load_events(stage.folder / "world.jsonl")
    return _run(stage, 1)


def _run(stage: Stage, number: int) -> Run:
    stage.org.set_clock(RUNS[number])
    return Run(
        home=stage.org.home.root,
        folder=stage.folder / "lake",
        api=stage.api,
        request=numbered_run(number),
        run_id=f"run {number}",
    )


def _died(stage: Stage, fate: Fate) -> None:
    stage.expect(fate.killed, f"it was to be killed, and ended by itself at {fate.last_mark!r}: {fate.error}")


def _made_again(stage: Stage, run: Run, what: str) -> None:
    """Make the run again, and the next one; hold the lake against a calm one."""
    for again in (run, _run(stage, 2)):
        stage.org.set_clock(again.request.run_after)
        fate = strike(live_run, again, None, log=_log(stage))
        stage.expect(fate.last_mark == "end", f"{again.run_id}, made again: {fate.error}")
    calm = stage.bench("calm")
    for number in (1, 2):
        stage.org.set_clock(RUNS[number])
        stage.listen(lambda number=number: calm.run(numbered_run(number), run_id=f"run {number}"))  # type: ignore[misc]
    stage.compare(stage.bench().lake(), calm.lake())
    stage.equal(stage.bench().lake().state, calm.lake().state, what="watermark and last complete refresh")
    jobs = stage.org.stats()["bulk_jobs"]
    stage.expect(jobs == {}, f"Bulk jobs are left in the org: {jobs}")
    stage.see(f"{what}; made again, the run succeeds")


def _log(stage: Stage) -> Path:
    return stage.folder / "processes.log"
