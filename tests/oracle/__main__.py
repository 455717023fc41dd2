"""`python -m tests.oracle SCENARIO.jsonl [--object User|Account]`: the dimension after `make run`, as CSV."""

from __future__ import annotations

import argparse
import csv
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from tests.oracle import rules
from tests.oracle.history_model import dimension
from tests.oracle.org_model import read_scenario
from tests.oracle.reads import Lake
from tests.oracle.replay import replay
from tests.oracle.shapes import SHAPES


def written(value: Any) -> str:
    """A value as `make sql … FORMAT=csv` prints it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None))
    return str(value)


def table(lake: Lake) -> list[dict[str, str]]:
    """The dimension, sorted, as texts."""
    columns = lake.shape.dimension_columns
    return [{name: written(row[name]) for name in columns} for row in dimension(lake.log)]


def write_csv(lake: Lake, out: TextIO) -> None:
    """Print the dimension."""
    writer = csv.DictWriter(out, lake.shape.dimension_columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table(lake))


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--object", choices=sorted(SHAPES), default="User")
    parser.add_argument("--rules", action="store_true", help="also say on stderr how often each rule occurred")
    given = parser.parse_args(arguments)
    lake = replay(SHAPES[given.object], read_scenario(given.scenario.read_text(encoding="utf-8").splitlines()))
    write_csv(lake, sys.stdout)
    if given.rules:
        print(rules.table(rules.count(lake.log) + lake.occurred), file=sys.stderr)


if __name__ == "__main__":
    main()
