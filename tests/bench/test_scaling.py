"""docs/scaling.md says what follows from the measurements, and nothing where a measurement lacks."""

from __future__ import annotations

import pytest

from bench import extraction, history
from bench.machine import Machine
from bench.measure import Sample
from bench.results import Record
from bench.scaling import VERSIONS, Line, Scaling
from bench.scaling_report import scaling
from bench.upsert_shapes import OURS, STEP, Shape


def record() -> Record:
    made = Record(machine=Machine.this(), quick=False)

    def add(suite: str, case: str, subject: str, *, cpu: float = 0.0, peak: float = 0.0, **facts: float) -> None:
        told = {name.replace("_", " "): value for name, value in facts.items()}
        made.samples(suite, case, subject).append(Sample(cpu=cpu, peak_mb=peak, facts=dict(told)))

    for rows, calls in ((100_000, 8), (1_000_000, 35), (5_000_000, 155)):
        add(
            "extraction", extraction.rows_key(rows), extraction.OURS, cpu=1 + rows * 2e-6,
            API_calls=calls, API_calls_of_the_plan=2, bytes_received=rows * 20, bytes_staged=rows * 10,
        )  # fmt: skip
    add("extraction", extraction.CALLS, extraction.OURS, API_calls=6, API_calls_of_the_plan=2)
    add("upsert", Shape(1_000_000, 1_000, "scattered").key, OURS, cpu=1.1)
    add("upsert_grid", Shape(100_000, 1_000, "scattered").key, OURS, cpu=0.2)
    add("upsert", Shape(100_000, 100_000, "scattered").key, STEP, cpu=1.2, peak=700)
    add("upsert_grid", Shape(5_000, 100, "scattered").key, OURS, cpu=0.1, peak=200)
    for versions in history.TRINO_SIZES:
        told = {
            "scattered scanned all": versions * 2 + 5e6,
            "scattered scanned one": versions * 2,
            "scattered cpu all": 3,
        }
        made.samples("history", f"trino {versions}", history.OURS).append(
            Sample(facts={**told, "scattered scanned other": 5e6})
        )
    return made


def test_a_run_of_a_million_records_is_worked_out_from_what_was_measured() -> None:
    run = Scaling(record()).incremental(1_000_000)
    assert run.read == 20_000
    # Of 100,000 records two pages; the rest is fixed. One page of 20,000, and two calls for the plan.
    assert run.calls == 8 - 2 + 1 + 2
    assert run.extract_cpu == pytest.approx(1.04)
    assert run.received == pytest.approx(400_000)
    # All ten files of 100,000 rows hold a change: 0.1 + 1 µs a row; and 1 s for 100,000 changes beyond rewriting 0.2.
    assert run.upsert_cpu == pytest.approx(0.1 + 1.0 + 0.2, rel=1e-3)
    # 5 million versions: 10 MB of the one statement that grows, and the least that a statement costs for the other.
    assert run.scanned == pytest.approx(VERSIONS * 1e6 * 2 + 5e6)
    assert run.athena == pytest.approx((10e6 + 10e6) / 1e12 * 5)


def test_small_and_large_reads_count_their_pages() -> None:
    model = Scaling(record())
    assert model.calls(100) == 6 + 2 - 3 + 1, "three pages were for 5,000 records by REST"
    assert model.calls(100_000_000) == pytest.approx(5 + 30e-6 * 100_000_000 + 2)


def test_a_worker_takes_in_what_it_can_hold() -> None:
    assert Scaling(record()).first_load_rows(1.0) == pytest.approx(800 / (500 / 100_000))


def test_nothing_is_guessed_where_nothing_was_measured() -> None:
    empty = Record(machine=Machine.this(), quick=False)
    run = Scaling(empty).full(5_000)
    assert {run.calls, run.received, run.extract_cpu, run.upsert_cpu, run.history_cpu, run.athena} == {None}
    assert "not measured" in scaling(empty)
    assert "| 1,000,000 | 20,000 | 9 |" in scaling(record())


def test_a_line_through_noise_is_level() -> None:
    line = Line.through((10, 5.0), (20, 4.0))
    assert line is not None
    assert line.at(1e9) == 5.0
