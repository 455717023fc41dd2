"""SIGKILL in real dbt builds, at random moments and around every commit: the dimension is the oracle's, once."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from include.lake.absence import SuspiciousRead
from local.faults.killing import AtCommit, Fate, strike
from tests.crash.lives import live_build, write_parsed
from tests.crash.scene import Toll
from tests.engines.engines import duckdb_engine
from tests.oracle.compare import differences, report
from tests.oracle.histories import Generator
from tests.oracle.history_model import dimension
from tests.oracle.reads import Batch, Lake, Refused
from tests.oracle.shapes import USER
from tests.parsed_project import parse_project
from tests.property.pipeline import Pipeline

RECORDS, LAKES, KILLS = 60, 3, 3
#: Commits of a first build: snapshot, the dimension made, filled, ledger. Later ones make no table.
FIRST, LATER = 4, 3
_CURATED = {"dim_sf_user_scd", "sf_user_consumed", "sf_user_snapshot"}


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dbt project, parsed once for all processes."""
    path = tmp_path_factory.mktemp("parsed") / "manifest"
    write_parsed(parse_project(tmp_path_factory), path)
    return path


class History:
    """One lake with three deliveries to build from, and the oracle beside it.

    :param root: an empty folder; SF_HISTORY_LAKE must be `root / "lake"`.
    :param parsed: see `parsed`.
    :param seed: of the random history.
    """

    def __init__(self, root: Path, parsed: Path, seed: int) -> None:
        self._root, self._parsed = root, parsed
        self.pipeline = Pipeline(duckdb_engine(root), USER)
        self.oracle = Lake(USER)
        self._batches = iter(list(Generator(USER, seed=seed, records=RECORDS, runs=6).batches()))

    def deliver(self) -> None:
        """Two more batches, into both."""
        for batch in (next(self._batches), next(self._batches)):
            self._deliver(batch)

    def _deliver(self, batch: Batch) -> None:
        try:
            self.oracle.deliver(batch)
        except Refused:
            with pytest.raises(SuspiciousRead):
                self.pipeline.deliver(batch)
        else:
            self.pipeline.deliver(batch)

    def build(self, *flags: str, mark: str | None = None, after: float = 0.0, dies: AtCommit | None = None) -> Fate:
        """One dbt build in a process of its own."""
        target, log = self._root / "target", self._root / "log"
        fate = strike(live_build, self._parsed, target, flags, dies, mark=mark, after=after, log=log)
        assert not fate.error, fate.error + log.read_text(errors="replace")[-3000:]
        assert fate.killed or fate.last_mark == "end"
        return fate

    def check(self, toll: Toll) -> None:
        """The dimension is the oracle's; snapshot and ledger hold nothing twice; there is no table besides."""
        expected, found = dimension(self.oracle.log), self.pipeline.dimension()
        problems = differences(USER, found, expected)
        assert not problems, report(problems)
        assert len(found) == len(expected)
        curated = self.pipeline.environment.curated_namespace
        catalog = self.pipeline.catalog
        assert {name for _, name in catalog.list_tables(curated)} == _CURATED
        partitions = catalog.load_table(f"{curated}.dim_sf_user_scd").spec().fields
        assert [str(field.transform) for field in partitions] == ["identity", "bucket[8]"]
        snapshot = catalog.load_table(f"{curated}.sf_user_snapshot").scan().to_arrow().to_pylist()
        current = Counter(row["user_id"] for row in snapshot if row["dbt_valid_to"] is None)
        assert current == Counter(row["user_id"] for row in expected if row["is_current"])
        assert max(Counter((row["user_id"], row["dbt_valid_from"]) for row in snapshot).values()) == 1
        ledger = catalog.load_table(self.pipeline.tables.ledger).scan().to_arrow().to_pylist()
        batches = Counter((row["_extraction_run_id"], row["_extracted_at"]) for row in ledger)
        assert max(batches.values()) == 1
        toll.rows += len(expected) + len(snapshot) + len(ledger)
        toll.reruns += 1


@pytest.fixture
def history(tmp_path: Path, parsed: Path, dice: random.Random, monkeypatch: pytest.MonkeyPatch) -> History:
    """An empty lake."""
    monkeypatch.setenv("SF_HISTORY_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
    return History(tmp_path, parsed, seed=dice.randrange(10**6))


@pytest.mark.parametrize("_lake", range(LAKES))
def test_builds_killed_some_times_and_made_again(history: History, dice: random.Random, toll: Toll, _lake: int) -> None:
    seconds = 1.0
    for flags in ((), (), ("--full-refresh",)):
        history.deliver()
        died = 0
        for _ in range(5 * KILLS):
            fate = history.build(*flags, mark="build", after=dice.uniform(0, seconds))
            died += fate.killed
            if died == KILLS:
                break
        toll.kills["dbt"] += died
        assert died == KILLS
        seconds = history.build(*flags).marks[-1][1]
        history.check(toll)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("nth", range(1, FIRST + 1))
def test_builds_killed_at_a_commit_and_made_again(history: History, toll: Toll, nth: int, side: str) -> None:
    for commits in (FIRST, LATER):
        history.deliver()
        moment = AtCommit(nth=(nth - 1) % commits + 1, side=side)
        fate = history.build(dies=moment)
        assert fate.killed
        toll.kills[f"dbt, {side} a commit"] += 1
        history.build()
        history.check(toll)


def test_there_is_no_other_commit(history: History) -> None:
    for commits in (FIRST, LATER):
        history.deliver()
        assert sum(mark.startswith("commit") for mark, _ in history.build().marks) == commits
