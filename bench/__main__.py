"""`make bench`: measure, show the verdicts, and write docs/benchmarks.md and docs/scaling.md."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.table import Table as RichTable

from bench.machine import Machine
from bench.report import markdown
from bench.results import Record
from bench.run import run
from bench.scaling_report import scaling
from bench.suite import Suite, Verdict

PROJECT = Path(__file__).resolve().parent.parent
#: Modules of this package that are a `Suite`, in the order of the report.
SUITES: tuple[str, ...] = ("upsert", "extraction", "history", "pipeline_run", "page", "upsert_grid")
_MARKS = {True: "[green]met[/]", False: "[red]missed[/]", None: "[yellow]not measured[/]"}


def main(arguments: list[str] | None = None) -> int:
    """Run it.

    :param arguments: of the command line.
    :return: exit code: 1 if a subject failed; a missed target is told, and is no failure.
    """
    options = _parser().parse_args(arguments)
    console = Console()
    suites = {name: cast("Suite", importlib.import_module(f"bench.{name}")) for name in options.only or SUITES}
    work: Path = options.folder
    path = work / ("quick.json" if options.quick else "full.json")
    record = Record.load(path) if options.resume or options.report else None
    record = record or Record(machine=Machine.this(), quick=options.quick)
    well = options.report or run(
        record,
        suites,
        path=path,
        folder=work / "data",
        console=console,
        most_rounds=options.rounds,
        wanted=options.case,
    )
    plots = work / "plots" if options.quick else PROJECT / "docs" / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    _show(
        console,
        [
            one
            for name in suites
            for part in suites[name].sections(record.of(name), plots=plots)
            for one in part.verdicts
        ],
    )
    if not options.quick:
        every = {name: cast("Suite", importlib.import_module(f"bench.{name}")) for name in SUITES}
        (PROJECT / "docs" / "benchmarks.md").write_text(markdown(record, every, plots=plots), encoding="utf-8")
        (PROJECT / "docs" / "scaling.md").write_text(scaling(record), encoding="utf-8")
        console.print("written: docs/benchmarks.md, docs/scaling.md")
    return 0 if well else 1


def _show(console: Console, verdicts: list[Verdict]) -> None:
    table = RichTable(title="targets")
    for heading in ("what", "target", "measured", "verdict"):
        table.add_column(heading)
    for one in verdicts:
        table.add_row(one.what, one.target, one.measured, _MARKS[one.met])
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small data, under 5 minutes, nothing is written to docs/")
    parser.add_argument("--only", action="append", choices=SUITES, help="this suite only; may be given several times")
    parser.add_argument("--resume", action="store_true", help="keep what was measured before, measure what lacks")
    parser.add_argument("--rounds", type=int, help="at most so many of each case; --resume completes them")
    parser.add_argument("--case", default="", help="cases whose key holds this text")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the report of the last run anew")
    parser.add_argument(
        "--folder",
        type=Path,
        default=PROJECT / ".local" / "bench",
        help="where data and results are (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
