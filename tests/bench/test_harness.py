"""The harness counts what it says it counts, and nothing that falls short is left out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from bench.machine import Machine
from bench.measure import Sample, Subject, measure
from bench.report import markdown, verdict_table
from bench.results import Record
from bench.run import run
from bench.suite import Case, Results, Section, Verdict

SUBJECTS = "tests.bench.subjects"


def measured(name: str, folder: Path, *, most_mb: float = 2_000, most_seconds: float = 60, **options: object) -> Sample:
    return measure(Subject(f"{SUBJECTS}:{name}", options), most_mb=most_mb, most_seconds=most_seconds, folder=folder)


def test_cpu_of_children_counts_and_preparation_does_not(tmp_path: Path) -> None:
    sample = measured("spin", tmp_path, prepared=0.5, counted=0.2)
    assert sample.outcome == "done"
    assert 0.2 <= sample.cpu < 0.5
    assert sample.facts == {"rows": 3}


def test_the_peak_is_that_of_the_counted_part(tmp_path: Path) -> None:
    assert measured("hold", tmp_path, before=400, counted=10).peak_mb < 300
    assert measured("hold", tmp_path, before=10, counted=400).peak_mb > 400


def test_too_much_memory_is_an_outcome(tmp_path: Path) -> None:
    assert measured("hold", tmp_path, most_mb=1, before=1, counted=1).outcome in {"too much memory", "done"}
    assert measured("hang", tmp_path, most_mb=1).outcome == "too much memory"
    assert measured("hang", tmp_path, most_seconds=0.2).outcome == "too long"


def test_who_is_stopped_says_how_far_it_came_and_what_it_prepared_does_not_count(tmp_path: Path) -> None:
    sample = measured("hang", tmp_path, most_seconds=0.4)
    assert sample.wall >= 0.4
    assert 0 < sample.cpu < sample.wall + 0.5, "two seconds of CPU were used before the clock ran"
    assert sample.peak_mb > 0


def test_a_failure_tells_why(tmp_path: Path) -> None:
    sample = measured("fail", tmp_path)
    assert sample.outcome == "failed"
    assert "ValueError: no such table" in sample.problem


class OneCase:
    """A suite with one case of two subjects."""

    TITLE = "One case"

    def __init__(self, path: Path, theirs: Subject | None = None) -> None:
        self.path, self.theirs = path, theirs

    def cases(self, *, quick: bool) -> list[Case]:
        ours = Subject(f"{SUBJECTS}:count", {"path": str(self.path)})
        subjects = {"ours": ours, "theirs": self.theirs or ours}
        return [Case(key="only", subjects=subjects, rounds=1 if quick else 2, most_times=2)]

    def sections(self, results: Results, *, plots: Path) -> list[Section]:
        cpu = results.ratio("only", "theirs", "ours", "cpu")
        return [Section(heading="All", text="Words.", verdicts=[Verdict.at_least("ratio | of CPU", 1e9, cpu, "×")])]


def test_a_run_that_was_broken_off_is_taken_up_again(tmp_path: Path) -> None:
    suite, path, console = OneCase(tmp_path / "ran"), tmp_path / "record.json", Console(file=io.StringIO())
    record = Record(machine=Machine.this(), quick=False)
    record.samples("one", "only", "ours").append(Sample(cpu=1.0))
    first = {"path": path, "folder": tmp_path / "data", "console": console}
    assert run(record, {"one": suite}, **first, most_rounds=1)  # type: ignore[arg-type]
    assert suite.path.read_text(encoding="utf-8") == "x", "one round, of which one was there"
    assert run(record, {"one": suite}, path=path, folder=tmp_path / "data", console=console)
    assert suite.path.read_text(encoding="utf-8") == "xxx", "two rounds of two subjects, of which one was there"
    again = Record.load(path)
    assert again is not None
    assert run(again, {"one": suite}, path=path, folder=tmp_path / "data", console=console)
    assert suite.path.read_text(encoding="utf-8") == "xxx"


@pytest.mark.parametrize(
    ("first", "seconds"), [(None, 200), (1, 30), (40, 80), (150, 200)], ids=["unknown", "short", "long", "too long"]
)
def test_the_others_get_some_times_what_the_first_took(first: float | None, seconds: float) -> None:
    case = Case(key="only", subjects={}, most_seconds=200, most_times=2)
    assert case.patience(first) == seconds
    assert Case(key="only", subjects={}, most_seconds=200).patience(first) == 200


def test_who_takes_much_longer_than_the_first_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.suite.LEAST_PATIENCE", 0.3)
    suite, console = OneCase(tmp_path / "ran", Subject(f"{SUBJECTS}:hang")), Console(file=io.StringIO())
    record = Record(machine=Machine.this(), quick=False)
    assert run(record, {"one": suite}, path=tmp_path / "record.json", folder=tmp_path / "data", console=console)
    results = record.of("one")
    assert (results.outcome("only", "ours"), results.outcome("only", "theirs")) == ("done", "too long")
    assert suite.path.read_text(encoding="utf-8") == "xx", "ours is measured in every round, theirs no more"


def test_the_report_tells_what_was_missed_and_what_was_not_measured(tmp_path: Path) -> None:
    record = Record(machine=Machine.this(), quick=False)
    record.samples("one", "only", "ours").append(Sample(cpu=1.0))
    suites = {"one": OneCase(tmp_path / "ran")}
    assert "| ratio \\| of CPU | at least 1e+09× | not measured | not measured |" in markdown(
        record, suites, plots=tmp_path / "benchmarks"
    )
    record.samples("one", "only", "theirs").append(Sample(cpu=4.0))
    text = markdown(record, suites, plots=tmp_path / "benchmarks")
    assert "| 4.00× | **missed** |" in text
    assert "0 of 1 targets were met." in text


def test_the_report_tells_of_a_machine_that_was_busy(tmp_path: Path) -> None:
    record = Record(machine=Machine.this(), quick=False)
    record.samples("one", "only", "ours").append(Sample(cpu=1.0, load=0.5))
    assert "Other work" not in markdown(record, {}, plots=tmp_path)
    record.samples("one", "only", "ours").append(Sample(cpu=1.0, load=record.machine.cores + 7))
    assert "1 of 2 measurements began while more processes wanted a core" in markdown(record, {}, plots=tmp_path)


@pytest.mark.parametrize(
    ("value", "reached", "kept"), [(8.0, True, True), (7.9, False, True), (8.1, True, False), (None, None, None)]
)
def test_a_verdict_is_the_comparison(value: float | None, reached: bool | None, kept: bool | None) -> None:
    assert Verdict.at_least("x", 8, value, "×").met is reached
    assert Verdict.at_most("x", 8, value, " MB").met is kept


def test_a_subject_that_was_stopped_has_no_median_and_says_why() -> None:
    stopped = Results({"a": {"theirs": [Sample(outcome="too much memory")], "ours": [Sample(cpu=2.0)]}})
    assert stopped.ratio("a", "theirs", "ours", "cpu") is None
    assert stopped.outcome("a", "theirs") == "too much memory"
    assert stopped.ratio_at_least("a", "theirs", "ours", "cpu") is None, "it had not begun"
    later = Results({"a": {"theirs": [Sample(outcome="too long", cpu=9.0)], "ours": [Sample(cpu=2.0)]}})
    assert later.ratio("a", "theirs", "ours", "cpu") is None
    assert later.ratio_at_least("a", "theirs", "ours", "cpu") == 4.5
    assert verdict_table([Verdict.at_least("x", 8, None, "×")]).rows == [
        ("x", "at least 8×", "not measured", "not measured")
    ]
