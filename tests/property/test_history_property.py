"""Thousands of random histories through the real upsert and the real dbt models: the dimension is the oracle's.

`HISTORY_SEEDS=20 pytest -m property` tries more seeds; `HISTORY_SEED=17` one alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from include.lake.absence import SuspiciousRead
from tests.engines.engines import duckdb_engine
from tests.oracle import rules
from tests.oracle.compare import differences, mirror_differences, report
from tests.oracle.histories import Generator, cut
from tests.oracle.history_model import dimension
from tests.oracle.lives import batches as lived_batches
from tests.oracle.lives import scenario
from tests.oracle.org_model import Org, event_of
from tests.oracle.reads import Batch, Lake, Refused
from tests.oracle.shapes import ACCOUNT, USER, Shape
from tests.property.pipeline import Pipeline

pytestmark = pytest.mark.property
RECORDS = int(os.environ.get("HISTORY_RECORDS", "3000"))
INCREMENTS = 4
MakePipeline = Callable[[Shape], Pipeline]
CountRules = Callable[[Lake, str], None]


def seeds() -> list[int]:
    """Seeds to try."""
    one = os.environ.get("HISTORY_SEED")
    return [int(one)] if one else list(range(1, int(os.environ.get("HISTORY_SEEDS", "2")) + 1))


@pytest.fixture
def make_pipeline(tmp_path: Path) -> MakePipeline:
    """Makes a pipeline over an empty lake."""
    return lambda shape: Pipeline(duckdb_engine(tmp_path), shape)


def deliver(pipeline: Pipeline, lake: Lake, batch: Batch) -> None:
    """One batch into both; they must agree on whether to refuse it."""
    try:
        lake.deliver(batch)
    except Refused:
        with pytest.raises(SuspiciousRead):
            pipeline.deliver(batch)
    else:
        pipeline.deliver(batch)


def check(pipeline: Pipeline, lake: Lake, told: str) -> None:
    """Dimension and mirror are the oracle's."""
    found = differences(lake.shape, pipeline.dimension(), dimension(lake.log))
    if found:
        pytest.fail(f"{told}: dimension: {report(found)}", pytrace=False)
    last = {record: known[-1].observed for record, known in lake.log.by_record().items()}
    found = mirror_differences(lake.shape, pipeline.mirror(), lake.log.mirror(), last)
    if found:
        pytest.fail(f"{told}: mirror: {report(found, first=12)}", pytrace=False)


def follow(pipeline: Pipeline, lake: Lake, increments: list[list[Batch]], told: str) -> None:
    """Deliver increments, build and check after each, then rebuild and check again."""
    began = time.monotonic()
    for number, increment in enumerate(increments, start=1):
        for batch in increment:
            deliver(pipeline, lake, batch)
        pipeline.build()
        print(f"{told}: increment {number} ({len(increment)} batches) after {time.monotonic() - began:.0f} s")
        check(pipeline, lake, f"{told}, increment {number}")
    pipeline.build("--full-refresh")
    check(pipeline, lake, f"{told}, rebuilt")


@pytest.fixture
def count_rules(record_property: Callable[[str, object], None]) -> CountRules:
    """Counts what a history met, for the table at the end of the session, and prints it (`-rP` shows it)."""

    def count(lake: Lake, told: str) -> None:
        counted = rules.count(lake.log) + lake.occurred
        record_property("rules", dict(counted))
        sizes = f"{len(lake.log.by_record()):,} records, {len(lake.log):,} observations"
        print(f"\n{told}: {sizes}, {len(dimension(lake.log)):,} versions\n{rules.table(counted)}")

    return count


@pytest.mark.parametrize("seed", seeds())
def test_random_batches_become_the_oracles_dimension(
    make_pipeline: MakePipeline, count_rules: CountRules, seed: int
) -> None:
    lake = Lake(USER)
    batches = Generator(USER, seed=seed, records=RECORDS).deliveries()
    follow(make_pipeline(USER), lake, list(cut(batches, INCREMENTS)), f"User, seed {seed}")
    count_rules(lake, f"User, seed {seed}")


@pytest.mark.parametrize("seed", seeds()[:1])
def test_random_batches_of_accounts_with_soft_deletes(
    make_pipeline: MakePipeline, count_rules: CountRules, seed: int
) -> None:
    lake = Lake(ACCOUNT)
    batches = Generator(ACCOUNT, seed=seed, records=RECORDS // 3).deliveries()
    follow(make_pipeline(ACCOUNT), lake, list(cut(batches, 2)), f"Account, seed {seed}")
    count_rules(lake, f"Account, seed {seed}")


@pytest.mark.parametrize("shape", [USER, ACCOUNT], ids=lambda shape: shape.noun)
@pytest.mark.parametrize("seed", seeds()[:1])
def test_random_lives_of_an_org_read_by_runs_on_time_and_late(
    make_pipeline: MakePipeline, count_rules: CountRules, seed: int, shape: Shape
) -> None:
    intervals = 10
    told = f"{shape.object}s of an org, seed {seed}"
    raw = scenario(shape, seed=seed, records=RECORDS // 3, intervals=intervals)
    org = Org(shape, [event_of(one, line) for line, one in enumerate(raw, start=1)])
    pipeline, lake = make_pipeline(shape), Lake(shape)
    for number, batch in enumerate(lived_batches(lake, org, seed=seed, intervals=intervals)):
        deliver(pipeline, lake, batch)
        if number % 4 == 3:
            pipeline.build()
            check(pipeline, lake, f"{told}, after {batch.run_id}")
    pipeline.build()
    check(pipeline, lake, f"{told}, at the end")
    pipeline.build("--full-refresh")
    check(pipeline, lake, f"{told}, rebuilt")
    count_rules(lake, told)


@pytest.mark.parametrize("gone", [False, True], ids=["a value is wrong", "a version is missing"])
def test_one_wrong_row_is_found(make_pipeline: MakePipeline, *, gone: bool) -> None:
    lake, pipeline = Lake(USER), make_pipeline(USER)
    for batch in Generator(USER, seed=2, records=30, runs=3).batches():
        deliver(pipeline, lake, batch)
    pipeline.build()
    check(pipeline, lake, "before")
    pipeline.break_one_row(gone=gone)
    with pytest.raises(pytest.fail.Exception, match="1 records differ"):
        check(pipeline, lake, "broken")
