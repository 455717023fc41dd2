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
from tests.oracle import rules
from tests.oracle.compare import differences, mirror_differences, report
from tests.oracle.histories import Generator, cut
from tests.oracle.history_model import dimension
from tests.oracle.reads import Batch, Lake, Refused
from tests.oracle.shapes import ACCOUNT, USER, Shape
from tests.property.pipeline import Pipeline

pytestmark = pytest.mark.property
RECORDS = int(os.environ.get("HISTORY_RECORDS", "3000"))
INCREMENTS = 4
MakePipeline = Callable[[Shape], Pipeline]


def seeds() -> list[int]:
    """Seeds to try."""
    one = os.environ.get("HISTORY_SEED")
    return [int(one)] if one else list(range(1, int(os.environ.get("HISTORY_SEEDS", "2")) + 1))


@pytest.fixture
def make_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePipeline:
    """Makes a pipeline over an empty lake."""
    for name in [name for name in os.environ if name.startswith("SF_HISTORY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SF_HISTORY_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    return lambda shape: Pipeline(tmp_path, shape)


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
    assert not found, f"{told}: dimension: {report(found)}"
    last = {record: known[-1].observed for record, known in lake.log.by_record().items()}
    found = mirror_differences(lake.shape, pipeline.mirror(), lake.log.mirror(), last)
    assert not found, f"{told}: mirror: {report(found, first=12)}"


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


def print_rules(lake: Lake, told: str) -> None:
    """Say how often each rule occurred, past pytest's capture too (`-rP` or `-s`)."""
    print(f"\n{told}: {len(lake.log.by_record()):,} records, {len(lake.log):,} observations, "
          f"{len(dimension(lake.log)):,} versions")  # fmt: skip
    print(rules.table(rules.count(lake.log) + lake.occurred))


@pytest.mark.parametrize("seed", seeds())
def test_random_batches_become_the_oracles_dimension(make_pipeline: MakePipeline, seed: int) -> None:
    lake = Lake(USER)
    batches = Generator(USER, seed=seed, records=RECORDS).deliveries()
    follow(make_pipeline(USER), lake, list(cut(batches, INCREMENTS)), f"User, seed {seed}")
    print_rules(lake, f"User, seed {seed}")


@pytest.mark.parametrize("seed", seeds()[:1])
def test_random_batches_of_accounts_with_soft_deletes(make_pipeline: MakePipeline, seed: int) -> None:
    lake = Lake(ACCOUNT)
    batches = Generator(ACCOUNT, seed=seed, records=RECORDS // 3).deliveries()
    follow(make_pipeline(ACCOUNT), lake, list(cut(batches, 2)), f"Account, seed {seed}")
    print_rules(lake, f"Account, seed {seed}")
