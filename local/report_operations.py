"""What people on call look at in the report of `make run`: how the runs went, how large tables are, who was told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pyiceberg.catalog import Catalog
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.config.durations import write_duration
from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.lake.alert_log import read_alerts
from include.lake.table_sizes import TableSize, read_sizes


def print_operations(
    console: Console,
    catalog: Catalog,
    environment: Environment,
    objects: list[ObjectFile],
    runs: list[dict[str, Any]],
) -> None:
    """Print metrics of the runs, sizes of the tables after the last of them, and the alerts that were told.

    :param objects: object files of the replay.
    :param runs: rows of `sf_ops.pipeline_runs`, oldest first.
    """
    console.print(_metrics(runs))
    for object_file in objects:
        last = next((run["run_id"] for run in reversed(runs) if run["object"] == object_file.object), None)
        if last is None:
            continue
        sizes = read_sizes(catalog, environment.operations_namespace, run_id=last, object_name=object_file.object)
        if sizes:
            console.print(_sizes(sizes))
    print_alerts(console, catalog, environment, run_ids={run["run_id"] for run in runs})


def _metrics(runs: list[dict[str, Any]]) -> Table:
    table = _table("Metrics (docs/metrics.md explains them; in the cloud, CloudWatch gets the same)")
    for name in ("object", "window ends (UTC)"):
        table.add_column(name, no_wrap=True)
    for name in (
        "records",
        "quality",
        "history",
        "tests",
        "warned",
        "failed",
        "age",
        "API used",
        "reading",
        "run",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            run["object"],
            f"{run['window_end']:%Y-%m-%d %H:%M}" if run["window_end"] else "–",
            *(_number(run[name]) for name in ("live_records", "quality_score", "scd_success_rate")),
            *(_number(run[name]) for name in ("dbt_tests", "dbt_tests_warned", "dbt_tests_failed")),
            _span(run["freshness_seconds"]),
            "–" if run["api_usage_percent"] is None else f"{run['api_usage_percent']:g} %",
            _span(run["ingestion_seconds"]),
            _span(run["run_seconds"]),
        )
    return table


def _sizes(sizes: list[TableSize]) -> Table:
    table = _table("Tables (after the last run)")
    table.add_column("table", no_wrap=True)
    for name in ("records", "snapshots", "manifests", "data files", "delete files", "KB"):
        table.add_column(name, justify="right", no_wrap=True)
    for size in sizes:
        counts = (size.records, size.snapshots, size.manifests, size.data_files, size.delete_files)
        table.add_row(size.table_name, *(f"{count:,}" for count in counts), f"{size.bytes / 1024:,.0f}")
    return table


def print_alerts(console: Console, catalog: Catalog, environment: Environment, *, run_ids: set[str]) -> None:
    """Print what was told of some runs.

    :param run_ids: Airflow run ids.
    """
    told = read_alerts(catalog, environment.operations_namespace)
    alerts = [alert for alert in told if alert.run_id in run_ids]
    if not alerts:
        console.print("[bold]Alerts[/]: none")
        return
    console.print(f"[bold]Alerts[/]: {len(alerts)}")
    for alert in alerts:
        console.print(Text(f"\n  {alert.subject}", style="yellow"))
        for line in alert.text.splitlines()[1:]:
            if line:
                console.print(Text(f"    {line}", style="dim"))


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,g}" if value < 1_000 else f"{value:,.0f}"


def _span(seconds: float | None) -> str:
    return "–" if seconds is None else write_duration(timedelta(seconds=round(seconds)))
