"""The report at the end of `make run`: what every run did, and what became of a few records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.run_log import read_runs
from local.lake.catalog import lake_folder
from local.report_operations import print_operations

_STYLES = ("cyan", "magenta", "green", "yellow", "blue", "red")


def print_report(
    console: Console, environment: Environment, objects: list[ObjectFile], *, run_ids: set[str], people: int = 6
) -> None:
    """Print the runs of this call, the dimension's totals, the liveliest records' timelines, metrics and alerts.

    :param objects: object files whose dimensions are shown.
    :param run_ids: Airflow run ids of this call.
    :param people: how many records' timelines are shown.
    """
    catalog = lake_folder(environment.lake).open_catalog()
    runs = read_runs(catalog, environment.operations_namespace)
    ours = runs.filter(pc.is_in(runs["run_id"], value_set=pa.array(sorted(run_ids), pa.string())))
    console.print(_runs_table(ours))
    for object_file in objects:
        identifier = f"{environment.curated_namespace}.{object_file.dimension}"
        if not catalog.table_exists(identifier):
            continue
        versions = catalog.load_table(identifier).scan().to_arrow()
        _print_totals(console, catalog, environment, object_file, versions)
        _print_timelines(console, object_file, versions, people)
    console.print()
    print_operations(console, catalog, environment, objects, ours.to_pylist())


def _runs_table(runs: pa.Table) -> Table:
    table = Table(
        title="Runs (opened and closed are versions of the history)",
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    for name, justify in (
        ("object", "left"),
        ("window (UTC)", "left"),
        ("read", "left"),
        ("extracted", "right"),
        ("rejected", "right"),
        ("logged", "right"),
        ("deletions", "right"),
        ("opened", "right"),
        ("closed", "right"),
        ("API calls", "right"),
    ):
        table.add_column(name, justify=justify, no_wrap=name in ("read", "window (UTC)"))  # type: ignore[arg-type]
    for run in runs.to_pylist():
        table.add_row(
            run["object"],
            f"{_short(run['window_start']) if run['window_start'] else 'beginning'} → {_short(run['window_end'])}",
            ("all" if run["full_refresh"] else "changes") + f", {run['api']}",
            *(
                _count(run[name])
                for name in (
                    "rows_extracted",
                    "rows_quarantined",
                    "observations_logged",
                    "deletions_found",
                    "versions_opened",
                    "versions_closed",
                    "api_calls",
                )
            ),
        )
    return table


def _print_totals(
    console: Console, catalog: Catalog, environment: Environment, object_file: ObjectFile, versions: pa.Table
) -> None:
    current = versions.filter(versions["is_current"])
    deleted = pc.sum(current["is_deleted"]).as_py() or 0
    log = catalog.load_table(f"{environment.raw_namespace}.{object_file.table}_changes")
    observations = log.scan(selected_fields=("id",)).count()
    console.print(
        f"\n[bold]{environment.curated_namespace}.{object_file.dimension}[/]: {versions.num_rows:,} versions of "
        f"{current.num_rows:,} records ({deleted:,} deleted), out of {observations:,} observations"
    )


def _print_timelines(console: Console, object_file: ObjectFile, versions: pa.Table, people: int) -> None:
    key = object_file.dimension_column("Id")
    tracked = [object_file.dimension_column(name) for name in object_file.tracked]
    by_record: dict[str, list[dict[str, Any]]] = {}
    for version in versions.select([key, "name", *tracked, "effective_from", "effective_to", "is_deleted"]).to_pylist():
        by_record.setdefault(version[key], []).append(version)
    liveliest = sorted(by_record.items(), key=lambda item: (-_liveliness(item[1]), item[0]))[:people]
    for record, history in liveliest:
        history.sort(key=lambda version: version["effective_from"])
        console.print(f"\n[bold]{history[-1]['name']}[/]  [dim]{record}[/]")
        for version in history:
            console.print(_line(version, tracked))


def _liveliness(history: list[dict[str, Any]]) -> int:
    return len(history) + 2 * any(version["is_deleted"] for version in history)


def _line(version: dict[str, Any], tracked: list[str]) -> Text:
    end = _short(version["effective_to"]) if version["effective_to"] else "now"
    line = Text(f"  {_short(version['effective_from'])} → {end:<16}  ")
    for column in tracked:
        value = version[column]
        style = "dim" if value is None else _STYLES[sum(str(value).encode()) % len(_STYLES)]
        line.append(f"{column} ", style="dim")
        line.append(f"{'–' if value is None else value:<9} ", style=style)
    if version["is_deleted"]:
        line.append("deleted", style="bold red")
    line.rstrip()
    return line


def _short(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
