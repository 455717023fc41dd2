"""Measuring the cases of some suites, round by round, and keeping what came out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bench.measure import Sample, measure
from bench.results import Record
from bench.suite import Case, Suite

#: Facts of a subject that the terminal shows; the record has all of them.
_FACTS_SHOWN = 6


def run(
    record: Record,
    suites: Mapping[str, Suite],
    *,
    path: Path,
    folder: Path,
    console: Console,
    most_rounds: int | None = None,
    wanted: str = "",
) -> bool:
    """Measure what the record lacks.

    :param record: it grows, and is written down after every measurement.
    :param suites: name → suite.
    :param path: where the record is.
    :param folder: where subjects may write.
    :param console: told of each measurement.
    :param most_rounds: of each case, for a first look; default: as many as the case asks for.
    :param wanted: cases whose key holds this text; default: all.
    :return: whether none failed; one that took too much memory or time has not failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    well = True
    for name, suite in suites.items():
        cases = [case for case in suite.cases(quick=record.quick) if wanted in case.key]
        for number, case in enumerate(cases, start=1):
            console.print(f"[bold]{name}[/] {number}/{len(cases)} {escape(case.key)}")
            rounds = min(case.rounds, most_rounds or case.rounds)
            well &= _measured(record, name, case, rounds, path=path, folder=folder, console=console)
    return well


def _measured(
    record: Record, suite: str, case: Case, rounds: int, *, path: Path, folder: Path, console: Console
) -> bool:
    well, first = True, next(iter(case.subjects))
    for round_number in range(rounds):
        # Every second round the other way round, so that neither always finds the machine warmed up by the other.
        order = list(case.subjects.items())
        for name, subject in order if round_number % 2 == 0 else reversed(order):
            samples = record.samples(suite, case.key, name)
            if len(samples) > round_number or any(one.outcome != "done" for one in samples):
                continue
            taken = None if name == first else record.of(suite).median(case.key, first, "wall")
            sample = measure(subject, most_mb=case.most_mb, most_seconds=case.patience(taken), folder=folder)
            samples.append(sample)
            record.save(path)
            console.print(f"  {escape(name):<28} {_said(sample)}")
            if sample.outcome == "failed":
                well = False
                console.print(escape(sample.problem), style="red", highlight=False)
    return well


def _said(sample: Sample) -> str:
    if sample.outcome != "done":
        return f"[yellow]{sample.outcome}[/]"
    facts = ", ".join(f"{key} {value}" for key, value in list(sample.facts.items())[:_FACTS_SHOWN])
    return f"{sample.cpu:8.2f} s CPU {sample.wall:8.2f} s {sample.peak_mb:7,.0f} MB  {escape(facts)}"
