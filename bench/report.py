"""docs/benchmarks.md: what was measured, against which target, and whether it was met."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.machine import Machine
from bench.results import Record
from bench.suite import Section, Suite, Table, Verdict

_HEAD = """# Benchmarks

Written by `make bench`; `make bench QUICK=1` shows a small version of the same in the terminal. Each figure is the
median of its rounds; each measurement is a process of its own, and the subjects take turns. CPU is user and system
time, children included. Memory is the peak of the resident set. What fell short is listed like the rest.
"""

#: Share of the measurements that may begin on a busy machine without a word.
_CALM = 0.1


def verdict_table(verdicts: Sequence[Verdict]) -> Table:
    """Targets, as a table.

    :param verdicts: some.
    """
    words = {True: "met", False: "**missed**", None: "not measured"}
    return Table(
        header=("what", "target", "measured", "verdict"),
        rows=[(one.what, one.target, one.measured, words[one.met]) for one in verdicts],
    )


def markdown(record: Record, suites: Mapping[str, Suite], *, plots: Path) -> str:
    """The whole report.

    :param record: what was measured.
    :param suites: name → suite; one without a result is left out.
    :param plots: folder that plots are written to; the report lies beside it.
    """
    parts = [_HEAD, _machine(record.machine), *_beside(record)]
    found = [
        (suite.TITLE, suite.sections(record.of(name), plots=plots))
        for name, suite in suites.items()
        if name in record.suites
    ]
    verdicts = [one for _, sections in found for section in sections for one in section.verdicts]
    met = sum(one.met is True for one in verdicts)
    parts.append(f"{met} of {len(verdicts)} targets were met.\n")
    for title, sections in found:
        parts.append(f"## {title}\n")
        parts.extend(_section(section, plots) for section in sections)
    return "\n".join(parts)


def _machine(machine: Machine) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return (
        f"Machine: {machine.processor}, {machine.cores} cores, {machine.memory_gb} GB, {machine.system}, "
        f"Python {machine.python}.\nVersions: {versions}.\n"
    )


def _beside(record: Record) -> list[str]:
    """What else was going on."""
    loads = [
        one.load
        for suite in record.suites.values()
        for case in suite.values()
        for samples in case.values()
        for one in samples
        if one.load is not None
    ]
    cores = record.machine.cores
    busy = sum(load > cores for load in loads)
    if busy <= len(loads) * _CALM:
        return []
    return [
        f"**Other work went on beside it**: {busy} of {len(loads)} measurements began while more processes wanted a "
        f"core than there are (load average, median {statistics.median(loads):.1f} on {cores} cores). Wall times are "
        "longer for it, several times in places, ours and the others' alike. CPU grows by some tenths, so ratios of "
        "CPU and peaks of memory stand.\n"
    ]


def _section(section: Section, plots: Path) -> str:
    parts = [f"### {section.heading}\n", section.text.strip() + "\n"]
    if section.verdicts:
        parts.append(table_text(verdict_table(section.verdicts)))
    parts.extend(table_text(table) for table in section.tables)
    parts.extend(f"![{section.heading}]({plots.name}/{plot.name})\n" for plot in section.plots)
    return "\n".join(parts)


def table_text(table: Table) -> str:
    """A table in Markdown.

    :param table: any.
    """
    lines = [table.header, ["---"] * len(table.header), *table.rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
