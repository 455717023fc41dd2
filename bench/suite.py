"""What a suite of benchmarks is: cases, each with subjects that do the same work, and what is said of the results."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from bench.measure import Sample, Subject

Measure = Literal["cpu", "wall", "peak_mb"]
#: Wall seconds that a subject gets in any case.
LEAST_PATIENCE = 30.0
MEASURES: tuple[Measure, ...] = ("cpu", "wall", "peak_mb")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One piece of work, done by several subjects in turn.

    :param key: unique in the suite; it names the case in the results.
    :param subjects: name → what does the work; they are measured one after the other, round by round.
    :param rounds: how often each is measured.
    :param most_mb: memory (MB) at which a subject is stopped; the result says so.
    :param most_seconds: wall time at which a subject is stopped.
    :param most_times: the others are stopped earlier: after so many times the wall time of the first, and half a minute
        at least. By then it is seen who is slower.
    """

    key: str
    subjects: Mapping[str, Subject]
    rounds: int = 3
    most_mb: float = 12_000
    most_seconds: float = 900
    most_times: float | None = None

    def patience(self, first: float | None) -> float:
        """Wall seconds after which a subject is stopped.

        :param first: wall seconds of the first subject; None if it has not ended, or is to be measured.
        """
        if self.most_times is None or first is None:
            return self.most_seconds
        return min(self.most_seconds, max(LEAST_PATIENCE, self.most_times * first))


@dataclass(frozen=True)
class Results:
    """The samples of a suite, by case and subject."""

    samples: Mapping[str, Mapping[str, Sequence[Sample]]]

    def of(self, case: str, subject: str) -> list[Sample]:
        """Those that were done.

        :param case: its key.
        :param subject: its name.
        """
        return [one for one in self.samples.get(case, {}).get(subject, ()) if one.outcome == "done"]

    def outcome(self, case: str, subject: str) -> str:
        """`done`, or what stopped it; `not measured` where there is no sample.

        :param case: its key.
        :param subject: its name.
        """
        samples = self.samples.get(case, {}).get(subject, ())
        ended = [one.outcome for one in samples]
        return "not measured" if not ended else next((one for one in ended if one != "done"), "done")

    def median(self, case: str, subject: str, measure: Measure) -> float | None:
        """The median of a measure; None where nothing was done.

        :param case: its key.
        :param subject: its name.
        :param measure: which.
        """
        values = [getattr(one, measure) for one in self.of(case, subject)]
        return statistics.median(values) if values else None

    def reached(self, case: str, subject: str, measure: Measure) -> float | None:
        """The median of a measure, of those that were stopped as well: so much it is at least.

        :param case: its key.
        :param subject: its name.
        :param measure: which.
        """
        samples = self.samples.get(case, {}).get(subject, ())
        values = [getattr(one, measure) for one in samples if one.outcome != "failed"]
        return statistics.median(values) if values else None

    def fact(self, case: str, subject: str, name: str) -> float | None:
        """The median of a number that the subject told.

        :param case: its key.
        :param subject: its name.
        :param name: of the fact.
        """
        values = [float(one.facts[name]) for one in self.of(case, subject) if name in one.facts]
        return statistics.median(values) if values else None

    def spread(self, case: str, subject: str, measure: Measure) -> tuple[float, float] | None:
        """The least and the greatest of a measure.

        :param case: its key.
        :param subject: its name.
        :param measure: which.
        """
        values = [getattr(one, measure) for one in self.of(case, subject)]
        return (min(values), max(values)) if values else None

    def ratio(self, case: str, alternative: str, ours: str, measure: Measure) -> float | None:
        """How many times as much the alternative takes: the quotient of the medians.

        :param case: its key.
        :param alternative: name of the subject above the line.
        :param ours: name of the subject below it.
        :param measure: which.
        """
        above, below = self.median(case, alternative, measure), self.median(case, ours, measure)
        return above / below if above is not None and below else None

    def ratio_at_least(self, case: str, alternative: str, ours: str, measure: Measure) -> float | None:
        """Likewise, but an alternative that was stopped counts with what it had taken by then.

        :param case: its key.
        :param alternative: name of the subject above the line.
        :param ours: name of the subject below it, which must have ended by itself.
        :param measure: which.
        """
        above, below = self.reached(case, alternative, measure), self.median(case, ours, measure)
        return above / below if above and below else None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A target, and whether it was met.

    :param what: what is measured, in words.
    :param target: as it was asked for: "at least 8×", "at most 300 MB".
    :param measured: as it came out.
    :param met: None where it could not be measured.
    """

    what: str
    target: str
    measured: str
    met: bool | None

    @classmethod
    def at_least(cls, what: str, target: float, measured: float | None, unit: str) -> Verdict:
        """A figure that should be great.

        :param what: what is measured.
        :param target: what it should reach.
        :param measured: what it reached.
        :param unit: follows the number.
        """
        met = None if measured is None else measured >= target
        return cls(what=what, target=f"at least {target:g}{unit}", measured=_number(measured, unit), met=met)

    @classmethod
    def at_most(cls, what: str, target: float, measured: float | None, unit: str) -> Verdict:
        """A figure that should be small.

        :param what: what is measured.
        :param target: what it should not exceed.
        :param measured: what it reached.
        :param unit: follows the number.
        """
        met = None if measured is None else measured <= target
        return cls(what=what, target=f"at most {target:g}{unit}", measured=_number(measured, unit), met=met)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the report: a header, and rows of text."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report.

    :param heading: its title.
    :param text: paragraphs of Markdown before the tables: what was measured and how to read it.
    :param verdicts: the targets.
    :param tables: the figures.
    :param plots: files of plots, below docs/benchmarks/.
    """

    heading: str
    text: str
    verdicts: Sequence[Verdict] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Path] = field(default_factory=tuple)


class Suite(Protocol):
    """What a module of `bench/` offers to be run: its name is the module's.

    TITLE is its heading in the report.
    """

    TITLE: str

    def cases(self, *, quick: bool) -> Sequence[Case]:
        """What is measured.

        :param quick: in a minute or so, on small data.
        """

    def sections(self, results: Results, *, plots: Path) -> Sequence[Section]:
        """What is said of the results; it must cope with cases that were not measured.

        :param results: of this suite, full or quick.
        :param plots: folder that plots are written to.
        """


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "not measured"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{unit}"
