"""A run under a real scheduler: where its seconds go, and against Cosmos as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.measure import Subject
from bench.pipeline_parts import PARTS, STARTING, WATCHING, WORK
from bench.plots import drawn
from bench.suite import Case, Results, Section, Table, Verdict

TITLE = "The run"

USERS, CHANGES = 5_000, 100
#: The file of the pipelines first: the target is its.
FILES = ("sf_object_pipelines.py", "lakehouse_maintenance.py", "sf_history_watch.py")
OURS, STOCK = "this project", "Cosmos LOCAL, subprocess"
_PARSE, RUN, _AGAIN = "parse", "scheduled run", "make run, the second time"
_COMPONENTS = ("tasks", "scheduler", "api-server", "dag-processor", "triggerer")
_IN_TASKS = (STARTING, WORK, "dbt", WATCHING)
_COLOURS = ("#bdbdbd", "#9ecae1", "#31a354", "#fdae6b", "#e6550d", "#756bb1")


def cases(*, quick: bool) -> Sequence[Case]:
    """A parse of each DAG file; in full also a run of either set-up, and the dbt group beside a bare `dbt build`.

    :param quick: parse only: to start Airflow and load an org takes minutes.
    """
    found = [
        Case(
            key=_PARSE,
            subjects={file: Subject("bench.pipeline_subjects:parse", {"file": file}) for file in FILES},
            rounds=1 if quick else 5,
        )
    ]
    if not quick:
        run = "bench.pipeline_subjects:scheduled_run"
        options = {"users": USERS, "changes": CHANGES}
        found.append(
            Case(
                key=RUN,
                subjects={
                    OURS: Subject(run, {**options, "stock": False, "bare": 3}),
                    STOCK: Subject(run, {**options, "stock": True}),
                },
                rounds=1,
                most_seconds=1200,
            )
        )
        again = {OURS: Subject("bench.pipeline_subjects:replayed_again")}
        found.append(Case(key=_AGAIN, subjects=again, rounds=1))
    return found


def sections(results: Results, *, plots: Path) -> Sequence[Section]:
    """Parsing, and the run.

    :param results: of this suite.
    :param plots: where the plot goes.
    """
    found = [_parsing(results)]
    if results.outcome(RUN, OURS) != "not measured":
        found.append(_running(results, plots))
    if results.outcome(_AGAIN, OURS) != "not measured":
        found.append(_again(results))
    return found


def _again(results: Results) -> Section:
    wall, cpu = results.median(_AGAIN, OURS, "wall"), results.median(_AGAIN, OURS, "cpu")
    return Section(
        heading="make run",
        text=(
            "The second `make run` on a machine that is set up: the default scenario, four runs of the real DAG over "
            f"5,000 users, from an empty lake. It takes {_number(cpu, 1)} s of CPU."
        ),
        verdicts=[Verdict.at_most(f"wall time of {_AGAIN}", 60, wall, " s")],
    )


def _parsing(results: Results) -> Section:
    first = FILES[0]
    samples = [sample for file in FILES for sample in results.of(_PARSE, file)]
    clean = all(
        "dbt" not in str(sample.facts["loads"]).split(", ") and not sample.facts["processes"] for sample in samples
    )
    loads = {str(sample.facts["loads"]) for sample in samples}
    return Section(
        heading="Parsing the DAGs",
        text=(
            "Airflow's DAG processor imports Airflow once and forks a process a file, again and again; every task "
            "parses its own file as well. Here each parse is a fresh process that imports what the processor has "
            "imported, then calls Airflow's own function, which imports the file and serializes its DAGs. *The file's "
            "own* is the CPU of that call: imports of Cosmos and of this project included, Airflow's own not. *The "
            "whole process* starts at its first instruction."
        ),
        verdicts=[
            Verdict.at_most(
                f"parse of {first}, the file's own CPU", 1.0, results.fact(_PARSE, first, "file_cpu"), " s"
            ),
            Verdict(
                what="parse of every DAG file: dbt",
                target="not imported, no process started",
                measured=f"imported of what is heavy: {', '.join(sorted(loads))}" if samples else "not measured",
                met=clean if samples else None,
            ),
        ],
        tables=[
            Table(
                header=("DAG file", "DAGs", "the file's own, s CPU", "the whole process, s CPU"),
                rows=[
                    (
                        file,
                        _number(results.fact(_PARSE, file, "dags"), 0),
                        _number(results.fact(_PARSE, file, "file_cpu"), 2),
                        _number(results.fact(_PARSE, file, "process_cpu"), 2),
                    )
                    for file in FILES
                ],
            )
        ],
    )


def _running(results: Results, plots: Path) -> Section:
    def ours(name: str) -> float | None:
        return results.fact(RUN, OURS, name)

    def stock(name: str) -> float | None:
        return results.fact(RUN, STOCK, name)

    return Section(
        heading="A run under a scheduler",
        text=(
            f"{USERS:,} users, {CHANGES} of them changed since the run before; scheduler, API server, DAG processor "
            "and triggerer on SQLite, LocalExecutor with the settings of `make up`. The run before read everything: "
            "nothing is cold. It is triggered without Params: it goes on from the watermark, as a scheduled one does. "
            "*Cosmos LOCAL, subprocess* is the same DAG with Cosmos's default execution mode, a `dbt` process a task; "
            "its nodes come from the manifest as well (LoadMode.DBT_MANIFEST), the project's own operators and "
            "Airflow's settings are "
            "the same. The dbt group counts from the end of take_turn to the end of its last task, and all CPU of its "
            "tasks' processes; a bare `dbt build` is the command line in a process of its own with its partial parse "
            "at hand, on the same changes: the ledger is made to forget them."
        ),
        verdicts=[
            Verdict.at_most(
                "wall time of the dbt group, against a bare dbt build",
                2.0,
                _ratio(ours("dbt group wall"), ours("bare dbt wall")),
                "×",
            ),
            Verdict.at_most(
                "CPU of the dbt group, against a bare dbt build",
                2.0,
                _ratio(ours("dbt group CPU"), ours("bare dbt CPU")),
                "×",
            ),
            Verdict.at_most(
                "wall time of the warm run, against Cosmos LOCAL, subprocess",
                0.5,
                _ratio(ours("run"), stock("run")),
                "×",
            ),
            Verdict.at_most(
                "CPU of the warm run, against Cosmos LOCAL, subprocess",
                0.5,
                _ratio(results.median(RUN, OURS, "cpu"), results.median(RUN, STOCK, "cpu")),
                "×",
            ),
        ],
        tables=[
            Table(
                header=("where the wall time goes, s", OURS, STOCK),
                rows=[(part, _number(ours(f"wall: {part}"), 1), _number(stock(f"wall: {part}"), 1)) for part in PARTS]
                + [(f"**{what}**", _number(ours(name), 1), _number(stock(name), 1)) for what, name in _TOTALS],
            ),
            Table(
                header=("where the CPU goes, s", OURS, STOCK),
                rows=[
                    *(
                        (f"tasks: {part}", *(_number(of(f"CPU in tasks: {part}"), 1) for of in (ours, stock)))
                        for part in _IN_TASKS
                    ),
                    *(
                        (f"all of {part}", *(_number(of(f"CPU: {part}"), 1) for of in (ours, stock)))
                        for part in _COMPONENTS
                    ),
                    ("task processes", _number(ours("task processes"), 0), _number(stock("task processes"), 0)),
                ],
            ),
        ],
        plots=[_plot(results, plots / "pipeline-run.svg")],
    )


_TOTALS = (("the run", "run"), ("the dbt group", "dbt group wall"), ("a bare dbt build", "bare dbt wall"))


def _plot(results: Results, path: Path) -> Path:
    lefts = [0.0, 0.0]
    names = (STOCK, OURS)
    with drawn(path, width=9, height=2.8) as (figure, (axis,)):
        for part, colour in zip(PARTS, _COLOURS, strict=True):
            widths = [results.fact(RUN, name, f"wall: {part}") or 0.0 for name in names]
            axis.barh(names, widths, left=lefts, color=colour, label=part)
            lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
        axis.set_xlabel("seconds of wall time")
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")
    return path


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
