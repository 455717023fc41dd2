"""`make upkeep`: what `lakehouse_maintenance` does every week, at once, on the laptop's lake."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pyiceberg.exceptions import CommitFailedException, ValidationException
from rich.console import Console
from rich.table import Table

from include.config.environment import Environment, current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.upkeep.staged import expire_staged
from include.upkeep.tables import object_tables, operations_tables
from include.upkeep.upkeep import UpkeepReport, keep_up
from include.upkeep.upkeep_log import record_upkeep
from local.airflow_home import PROJECT
from local.exclusive import LakeInUse, only_one
from local.lake.catalog import lake_folder

_SHOWN = ("data_files", "delete_files", "manifests", "snapshots", "bytes", "stored_bytes")
_WIDTH = 160


def main(arguments: list[str] | None = None) -> int:
    """Look after the laptop's lake.

    :return: 0; 2 if it is refused.
    """
    objects = read_object_files()
    parser = argparse.ArgumentParser(prog="make upkeep", description=__doc__)
    parser.add_argument("object", nargs="?", help="name of an object file (OBJECT=user); default: everything")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done (DRY=1)")
    parser.add_argument("--root", type=Path, default=PROJECT / ".local", help="where everything lives")
    options = parser.parse_args(arguments)
    problems = Console(stderr=True, highlight=False, soft_wrap=True)
    if options.object is not None and options.object.lower() not in objects:
        problems.print(f"there is no object file {options.object!r}; there are {', '.join(objects)}", style="red")
        return 2
    chosen = [objects[options.object.lower()]] if options.object else list(objects.values())
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        with only_one(options.root, purpose="make upkeep"):
            environment = current_environment({"SF_HISTORY_LAKE": str(options.root / "lake")})
            reports, staged = look_after(
                environment, chosen, with_operations=options.object is None, dry_run=options.dry_run
            )
    except (LakeInUse, CommitFailedException, ValidationException) as problem:
        problems.print(str(problem), style="red", markup=False)
        return 2
    render(
        reports,
        staged,
        dry_run=options.dry_run,
        console=Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH),
    )
    return 0


def look_after(
    environment: Environment, objects: Iterable[ObjectFile], *, with_operations: bool, dry_run: bool
) -> tuple[list[UpkeepReport], int]:
    """The upkeep of a lake that nobody else uses.

    :param environment: the laptop's.
    :param objects: whose tables.
    :param with_operations: the tables about runs as well.
    :param dry_run: look only.
    :return: a report for each table that is there, and the number of runs whose staged files were old.
    """
    catalog, now = lake_folder(str(environment.lake)).open_catalog(), datetime.now(UTC)
    tables, staged = [], 0
    for object_file in objects:
        tables += object_tables(object_file, environment)
        keep = object_file.upkeep.keep_staged
        staged += len(expire_staged(environment.staging_uri, object_file.table, keep=keep, now=now, dry_run=dry_run))
    if with_operations:
        tables += operations_tables(catalog, environment)
    found = (keep_up(catalog, kept, environment, now=now, dry_run=dry_run) for kept in tables)
    reports = [report for report in found if report is not None]
    for report in reports if not dry_run else ():
        run_id = f"command__{now:%Y-%m-%dT%H:%M:%SZ}"
        record_upkeep(catalog, environment.operations_namespace, report, run_id=run_id, environment=environment.name)
    return reports, staged


def render(reports: Iterable[UpkeepReport], staged: int, *, dry_run: bool, console: Console) -> None:
    """Print each table before and after.

    :param reports: of the tables.
    :param staged: number of runs whose staged files were old.
    :param dry_run: nothing was touched.
    :param console: where to.
    """
    reports = list(reports)
    if not reports:
        console.print("There are no tables yet: nothing to look after.")
        return
    table = Table(
        title="Upkeep: what would be done" if dry_run else "Upkeep: before → after",
        title_justify="left",
        header_style="bold",
    )
    table.add_column("table", no_wrap=True)
    for name in ("files rewritten", "snapshots expired", "orphans", *(one.replace("_", " ") for one in _SHOWN)):
        table.add_column(name, justify="right")
    for report in reports:
        before, after = report.before.numbers(), report.after.numbers()
        done = (report.files_compacted, report.snapshots_expired, report.orphans_deleted)
        sizes = (
            f"{before[name]:,}" if before[name] == after[name] else f"{before[name]:,} → {after[name]:,}"
            for name in _SHOWN
        )
        table.add_row(report.table, *(f"{count or 0:,}" for count in done), *sizes)
    console.print(table)
    console.print(f"Staged files of {staged} old runs {'would be' if dry_run else 'were'} removed.")


if __name__ == "__main__":
    sys.exit(main())
