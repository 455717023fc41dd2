"""docs/scaling.md: what a run takes at sizes that nobody has measured here, and where somebody's limits bite."""

from __future__ import annotations

from collections.abc import Callable

from bench import prices
from bench.prices import LOOKED_UP, MWAA_DAGS, MWAA_GIGABYTES, MWAA_HOUR
from bench.report import table_text
from bench.results import Record
from bench.scaling import CHANGED, RUNS_A_DAY, VERSIONS, Run, Scaling
from bench.suite import Table
from include.config.operating import Upsert

RECORDS = (5_000, 1_000_000, 100_000_000)
OBJECTS = (1, 50)
#: Tasks at once: the pool of dbt's tasks, as docs/configuration.md has it.
_ATHENA_SLOTS = 4
_LACKS = "not measured"

_HEAD = """# Scaling

Written by `make bench` beside [the benchmarks](benchmarks.md), from the same measurements; `bench/scaling.py` has the
arithmetic, `bench/prices.py` the prices. 5,000 and 1 million records lie within what was measured, 100 million do not:
those figures are straight lines drawn on.

Assumed: {changed:.0%} of the records change between two runs (100 of 5,000, as in the run that is measured), scattered
over the table; {runs} runs a day, one of them in a week reads everything; {versions} versions a record; the user's 12
columns. With 68 columns the upsert takes {wide} times as much CPU ([benchmarks](benchmarks.md)). CPU seconds are those
of the machine in the benchmarks.
"""


def scaling(record: Record) -> str:
    """The document.

    :param record: of a full run.
    """
    model = Scaling(record)
    parts = [
        _HEAD.format(changed=CHANGED, runs=RUNS_A_DAY, versions=VERSIONS, wide=_told(model.wide(), "{:.1f}")),
        "## One run of one object, reading what has changed\n",
        _runs(model.incremental),
        "Seconds of CPU are the work alone. Around it are Airflow and the start of dbt: "
        f"{_told(model.run_seconds, '{:.0f} s')} of wall time for the whole run of 5,000 users that was measured, "
        f"{_told(model.dbt_seconds, '{:.0f} s')} of them in the dbt group. Small objects cost that, and hardly "
        f"anything else.\n",
        "## The same, reading everything (first load, weekly refresh)\n",
        _runs(model.full),
        "The upsert of a refresh rewrites what has changed, no more; it compares the rest. That comparison is not in "
        "the column.\n",
        _check(model),
        "## A day of all objects\n",
        _day(model),
        _day_text(model),
        "## Which engine from where\n",
        _engines(model),
        "## Where limits bite\n",
        _limits(model),
        "## Prices and limits used\n",
        f"Public list prices, us-east-1, as known on {LOOKED_UP:%d %B %Y}. AWS's price pages could not be opened from "
        f"the machine that wrote this: "
        "the figures are from copies and reports of them. Check before you budget.\n",
        table_text(
            Table(
                header=("value", "what", "source"),
                rows=[(f"{one.value:,g}", one.what, one.source) for one in prices.every()],
            )
        ),
    ]
    return "\n".join(parts)


def _runs(run_of: Callable[[int], Run]) -> str:
    rows = []
    for records in RECORDS:
        run = run_of(records)
        rows.append(
            [
                f"{records:,}",
                f"{run.read:,}",
                _told(run.calls, "{:,.0f}"),
                _told(run.received, "{:,.1f}", 1e-6),
                _told(run.staged, "{:,.1f}", 1e-6),
                _told(run.extract_cpu, "{:,.1f}"),
                _told(run.upsert_cpu, "{:,.1f}"),
                _told(run.history_cpu, "{:,.1f}"),
                _told(run.scanned, "{:,.0f}", 1e-6),
                _told(run.athena, "{:.4f}"),
            ]
        )
    header = (
        "records", "read", "API calls", "MB received", "MB staged", "extract, CPU s", "upsert, CPU s",
        "history, engine's CPU s", "MB scanned", "$ Athena",
    )  # fmt: skip
    return table_text(Table(header=header, rows=rows))


def _check(model: Scaling) -> str:
    checked = model.checked()
    if not checked:
        return ""
    told = "; ".join(
        f"{key.removesuffix(', narrow, unpartitioned')}: {worked:.1f} s, measured {seen:.1f} s"
        for key, worked, seen in checked
    )
    return f"How well the upsert's line holds where it was not drawn through (the merge, CPU): {told}.\n"


def _day(model: Scaling) -> str:
    rows = []
    for objects in OBJECTS:
        for records in RECORDS:
            one, all_of_it = model.incremental(records), model.full(records)
            calls = _week(one.calls, all_of_it.calls, objects)
            received = _week(one.received, all_of_it.received, objects)
            work = _week(_cpu(one), _cpu(all_of_it), objects)
            athena = None if one.athena is None else one.athena * RUNS_A_DAY * objects
            env = _environment(objects)
            hours = MWAA_HOUR[env].value * 24
            rows.append(
                [
                    f"{objects} × {records:,}",
                    _told(calls, "{:,.0f}"),
                    _told(calls, "{:.1%}", 1 / prices.API_REQUESTS.value),
                    _told(received, "{:,.2f}", 1e-9),
                    _told(work, "{:,.2f}", 1 / 3_600),
                    _told(athena, "{:,.2f}"),
                    f"{hours:.2f} ({env})",
                    _told(None if athena is None else (athena + hours) / RUNS_A_DAY / objects, "{:,.2f}"),
                ]
            )
    header = (
        "objects × records", "API calls a day", "of an Enterprise org's", "GB received", "worker's CPU hours", "$ "
        "Athena a day",
        "$ MWAA a day", "$ a run",
    )  # fmt: skip
    return table_text(Table(header=header, rows=rows))


def _day_text(model: Scaling) -> str:
    parts = [
        "Every figure is the mean of a week: 27 runs that read what has changed, one that reads everything. MWAA is "
        "paid whether runs run or not, so a run gets cheaper "
        "the more of them there are; NAT gateways, logs, storage and Salesforce's own prices are not in it."
    ]
    if model.dbt_seconds is not None:
        minutes = OBJECTS[-1] * model.dbt_seconds / _ATHENA_SLOTS / 60
        parts.append(
            f"{OBJECTS[-1]} objects that all begin at the same minute share {_ATHENA_SLOTS} slots for dbt's tasks: "
            f"{minutes:.0f} minutes until the last is through, at the laptop's "
            "seconds a group. Spread their schedules, or give the pool more slots."
        )
    return "\n\n".join(parts) + "\n"


def _engines(model: Scaling) -> str:
    lines = [
        "- **DuckDB** is the laptop's. It has one writer; [the benchmarks](benchmarks.md) say what it takes as the "
        "history grows.",
        f"- **The worker's upsert** holds the run's rows, a piece of one file and a row group of another: "
        f"{_told(model.upsert_peak(), '{:,.0f} MB')} at 5 million rows, and no more "
        "at 100 million. What grows is the rewriting of scattered changes, which the tables above have.",
    ]
    for size in MWAA_GIGABYTES:
        most = model.first_load_rows(MWAA_GIGABYTES[size].value / 2)
        lines.append(
            f"- **A first load by the worker** on {size}, with half of its {MWAA_GIGABYTES[size].value:g} GB free: up "
            f"to {_told(most, '{:,.0f} rows', digits=2)}, narrow."
        )
    from_rows = Upsert().engine_from_rows
    lines.append(
        f"- **The engine's upsert** (`upsert: {{engine: engine}}`; on Trino `auto` from {from_rows:,} rows): for "
        f"first loads beyond that, and where a refresh finds so much changed. "
        "On Athena only where the object file says so, because nobody has seen it there yet. It is not in the tables: "
        "its bytes were not measured."
    )
    lines.append(
        "- **Athena or Trino for the history**: always in the cloud. Athena is paid by the byte, a Trino by the hour."
    )
    return "\n".join(lines) + "\n"


def _limits(model: Scaling) -> str:
    small, large = RECORDS[0], RECORDS[-1]
    most = model.full(large)
    history = model.incremental(large).history_cpu
    daily = model.incremental(small).calls
    lines = [
        f"- **API requests** ({prices.API_REQUESTS.value:,.0f} a day and 1,000 more a licence): "
        + (
            _LACKS
            if daily is None
            else f"{OBJECTS[-1]} objects of {small:,} records take {daily * RUNS_A_DAY * OBJECTS[-1]:,.0f} a day"
        )
        + f"; a whole read of {large:,} records {_told(most.calls, '{:,.0f}')}. The run stops asking at the reserve "
        f"that the connection leaves to others.",
        f"- **Bulk query jobs** ({prices.BULK_JOBS.value:,.0f} a day): {OBJECTS[-1]} objects make "
        f"{OBJECTS[-1] * RUNS_A_DAY}. "
        f"**Bulk results** ({prices.BULK_TERABYTES.value:g} TB a day): a whole read of {large:,} records is "
        f"{_told(most.received, '{:,.1f} GB', 1e-9)} as it is sent, compressed.",
        f"- **A Bulk page** is {50_000:,} records, and Salesforce sets its size for several at once. A worker holds a "
        f"few of them whatever the object's size.",
        f"- **Athena's {prices.ATHENA_MINUTES.value:g} minutes a statement**: the whole history of {large:,} records "
        f"with {VERSIONS} versions takes {_told(history, '{:,.0f} s')} of one engine's CPU a run, "
        "over all statements. Athena spreads it over many; how many, it does not say. What grows is the log, read "
        "whole each run (decision 8).",
        f"- **Athena's {prices.ATHENA_PARTITIONS.value:g} partitions a statement**: the dimension has 16, the mirror "
        f"none; the log has one a day, and a run writes one day. It does not bite.",
        f"- **Athena's scan limit** is the workgroup's (`ScanLimitBytes`: 10 GB in development, 100 GB in "
        f"production): a run at {large:,} records reads {_told(most.scanned, '{:,.1f} GB', 1e-9)}, "
        "over all statements.",
        f"- **MWAA**: mw1.small is meant for {MWAA_DAGS['mw1.small'].value:g} DAGs, so {OBJECTS[-1]} objects with the "
        f"watch and the upkeep take {_environment(OBJECTS[-1])}. "
        f"A worker of mw1.small has {MWAA_GIGABYTES['mw1.small'].value:g} GB for four tasks; a dbt task takes some "
        f"300 MB.",
    ]
    return "\n".join(lines) + "\n"


def _environment(objects: int) -> str:
    """The smallest size that is meant for so many DAGs: one an object, the watch and the upkeep."""
    return next(size for size, most in MWAA_DAGS.items() if objects + 2 <= most.value)


def _cpu(run: Run) -> float | None:
    return None if run.extract_cpu is None or run.upsert_cpu is None else run.extract_cpu + run.upsert_cpu


def _week(one: float | None, everything: float | None, objects: int) -> float | None:
    """A day's mean over a week with one run that reads everything."""
    if one is None or everything is None:
        return None
    return (one * (RUNS_A_DAY * 7 - 1) + everything) / 7 * objects


def _told(value: float | None, form: str, times: float = 1.0, *, digits: int | None = None) -> str:
    if value is None:
        return _LACKS
    if digits is not None:
        value = float(f"{value:.{digits}g}")
    return form.format(value * times)
