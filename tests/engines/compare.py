"""`make compare-engines`: one scenario through the pipeline on every engine; the dimensions must be the same rows.

python -m tests.engines.compare [--scenario FILE.jsonl] [--engines duckdb trino athena]
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from local.cloud.aws import start_aws
from local.cloud.trino import start_trino, trino_missing
from local.org.scenario import Run, Scenario, load_scenario
from local.story import write as write_story
from tests.athena.endpoint import start_athena
from tests.athena.lake import athena_engine
from tests.engines.engines import Engine, duckdb_engine, trino_engine
from tests.engines.replay import replay

ENGINES = ("duckdb", "trino", "athena")
_SHOWN = 5

Rows = Sequence[Mapping[str, object]]
OpenEngine = Callable[[], Engine]


def rows_of(scenario: Scenario, engine: Engine, on_run: Callable[[Run], None] = lambda _: None) -> Rows:
    """The dimension of User that a scenario leaves on an engine, sorted; moments in UTC, without a zone.

    :param scenario: what happens in the org.
    :param engine: has an empty lake.
    :param on_run: told of each interval before its run.
    """
    return _plain(replay(scenario, engine, on_run=on_run))


def differences(one: Rows, other: Rows) -> list[str]:
    """Rows that only one of two dimensions has, each a line of text.

    :param one: is right by definition.
    :param other: is compared with it.
    """
    have, wanted = Counter(map(_line, other)), Counter(map(_line, one))
    return [
        *(f"missing: {line}" for line in sorted(wanted.keys() - have.keys())),
        *(f"too many: {line}" for line in sorted(have.keys() - wanted.keys())),
        *(f"several times: {line}" for line, count in sorted(have.items()) if count > 1),
    ]


def digest(rows: Rows) -> str:
    """A short name of all rows in their order; equal for equal rows only.

    :param rows: sorted.
    """
    return hashlib.sha256("\n".join(_line(row) for row in rows).encode()).hexdigest()[:16]


def compare(found: Mapping[str, Rows], console: Console) -> bool:
    """Print what each engine has, against the first one.

    :param found: engine → its rows.
    :param console: where to.
    :return: whether all are the same.
    """
    first, *_ = found
    table = Table(title="dim_sf_user_scd", title_justify="left")
    for heading in ("engine", "rows", "differences", "digest"):
        table.add_column(heading, justify="right" if heading in ("rows", "differences") else "left")
    different = {name: differences(found[first], rows) for name, rows in found.items()}
    for name, rows in found.items():
        table.add_row(name, f"{len(rows):,}", f"{len(different[name]):,}", digest(rows))
    console.print(table)
    for name, lines in different.items():
        for line in lines[:_SHOWN]:
            console.print(f"{name} against {first}: {line}", style="red", soft_wrap=True, markup=False)
    return not any(different.values())


@contextmanager
def engines(names: Sequence[str], folder: Path) -> Iterator[dict[str, OpenEngine]]:
    """Start what the engines need; each is opened when it is its turn.

    :param names: of `ENGINES`.
    :param folder: for lakes and dbt's files.
    """
    for name in names:
        (folder / name).mkdir()
    opened: dict[str, OpenEngine] = {"duckdb": lambda: duckdb_engine(folder / "duckdb")}
    with ExitStack() as stack:
        if set(names) - {"duckdb"}:
            aws = stack.enter_context(start_aws())
            trino = stack.enter_context(start_trino(aws))
            athena = stack.enter_context(start_athena(aws, trino))
            opened["trino"] = lambda: trino_engine(trino, aws, folder / "trino", suffix="compare_trino")
            opened["athena"] = lambda: athena_engine(athena, folder / "athena", suffix="compare_athena")
        yield {name: opened[name] for name in names}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    :param arguments: the command line; that of the process by default.
    :return: 0; 1 where rows differ; 2 where there is no Trino here.
    """
    parser = argparse.ArgumentParser(prog="make compare-engines", description=__doc__)
    parser.add_argument("--scenario", type=Path, help="JSON lines; default: that of make run, a day of 5,000 users")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    given = parser.parse_args(arguments)
    console = Console(highlight=False)
    if set(given.engines) - {"duckdb"} and (missing := trino_missing()):
        console.print(missing, style="red", soft_wrap=True, markup=False)
        return 2
    with tempfile.TemporaryDirectory(prefix="compare-") as temporary:
        folder = Path(temporary)
        scenario = load_scenario(given.scenario or write_story(folder / "default_scenario.jsonl"))
        found: dict[str, Rows] = {}
        console.print(f"{len(scenario.events):,} events of {scenario.path.name} on {', '.join(given.engines)}")
        with engines(given.engines, folder) as opened:
            for name, open_engine in opened.items():
                began = time.monotonic()
                found[name] = rows_of(
                    scenario,
                    open_engine(),
                    lambda run, name=name: console.print(f"  {name}: {run.start:%Y-%m-%d %H:%M} → {run.end:%H:%M}"),
                )
                console.print(f"  {name}: {len(found[name]):,} rows, {time.monotonic() - began:.0f} s")
        return 0 if compare(found, console) else 1


def _plain(table: pa.Table) -> Rows:
    utc = [
        column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
        if pa.types.is_timestamp(column.type)
        else column
        for column in table.columns
    ]
    return pa.Table.from_arrays(utc, table.column_names).to_pylist()


def _line(row: Mapping[str, object]) -> str:
    return " ".join(f"{name}={row[name]!s}" for name in sorted(row))


if __name__ == "__main__":
    sys.exit(main())
