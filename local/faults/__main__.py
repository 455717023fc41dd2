"""`make faults`: try every case and print the table; the last line says how many there were, and what differs."""

from __future__ import annotations

import argparse
import sys
import time

from rich.console import Console
from rich.table import Table

from local.faults.register import everything
from local.faults.trial import Outcome, trials

_WIDTH = 200
_SHOWN = 150


def main(arguments: list[str] | None = None) -> int:
    """Try the cases.

    :return: 0 if all of them hold, else 1; 2 where there is none of that name.
    """
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only cases whose name holds this text")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown, for docs/reliability.md")
    options = parser.parse_args(arguments)
    cases = [case for case in everything() if options.only.lower() in case.name.lower()]
    if not cases:
        print(f"no case has {options.only!r} in its name; docs/reliability.md lists them", file=sys.stderr)
        return 2
    began, outcomes = time.monotonic(), []
    progress = Console(stderr=True, highlight=False)
    with trials() as bench:
        for number, case in enumerate(cases, start=1):
            outcome = bench.attempt(case)
            outcomes.append(outcome)
            progress.print(f"{number}/{len(cases)} {case.name}: {_verdict(outcome)}", style="dim", markup=False)
            for problem in outcome.problems[:10]:
                progress.print(f"    {problem}", style="red", markup=False)
    if options.markdown:
        print(_markdown(outcomes))
    else:
        Console(width=_WIDTH, highlight=False).print(_table(outcomes))
    differences = sum(len(outcome.problems) for outcome in outcomes)
    progress.print(f"{time.monotonic() - began:.0f} s", style="dim")
    print(f"cases={len(outcomes)} rows_compared={sum(one.rows for one in outcomes)} differences={differences}")
    return 1 if differences else 0


def _table(outcomes: list[Outcome]) -> Table:
    table = Table(title="Faults", title_justify="left", header_style="bold")
    table.add_column("fault")
    table.add_column("API")
    table.add_column("what the user saw")
    table.add_column("rows", justify="right")
    table.add_column("verdict")
    for outcome in outcomes:
        style = "red" if outcome.problems else ""
        table.add_row(*(_cells(outcome)), style=style)
    return table


def _markdown(outcomes: list[Outcome]) -> str:
    lines = ["| fault | API | what the user saw | rows compared | verdict |", "|---|---|---|---:|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in _cells(outcome)) + " |" for outcome in outcomes]
    return "\n".join(lines)


def _cells(outcome: Outcome) -> tuple[str, ...]:
    saw = outcome.saw if len(outcome.saw) <= _SHOWN else outcome.saw[: _SHOWN - 1] + "…"
    return outcome.case.fault, outcome.case.api, saw, f"{outcome.rows:,}", _verdict(outcome)


def _verdict(outcome: Outcome) -> str:
    if outcome.problems:
        return f"{len(outcome.problems)} differences"
    return "stops, and the next run makes it good" if outcome.stops else "holds"


if __name__ == "__main__":
    sys.exit(main())
