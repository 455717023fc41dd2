"""Records that are refused at first and replayed later: the dimension is that of runs which accepted them at once.

What the oracle's lake gets is every batch as it was read; the pipeline's lake gets the same ones with a tenth of the
records in quarantine, and replays it now and then: before a full refresh, which judges absence by what the lake knows,
and before another attempt of a run takes the place of that run's rejects.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from include.flow import Flow
from include.quality.quarantine import write_quarantine
from include.quality.quarantine_table import Origin
from include.quality.rules import record_json
from include.quality.validation import REJECT_SCHEMA
from include.staging.store import write_parquet
from tests.engines.engines import duckdb_engine
from tests.oracle.compare import differences, mirror_differences, report
from tests.oracle.histories import Generator
from tests.oracle.history_model import dimension
from tests.oracle.reads import Batch, Lake
from tests.oracle.shapes import ACCOUNT, USER, Shape
from tests.property.pipeline import ORG, Pipeline

pytestmark = pytest.mark.property
RECORDS = int(os.environ.get("HISTORY_RECORDS", "3000")) // 3
NOW = datetime(2026, 2, 1, tzinfo=UTC)


class Refusing:
    """A pipeline whose rules refuse a tenth of what it reads, and are relaxed whenever it replays."""

    def __init__(self, pipeline: Pipeline, *, seed: int) -> None:
        self.pipeline, self._chance = pipeline, random.Random(seed)
        self._rejects = pipeline.engine.folder / "rejects"
        self._rejects.mkdir()
        self.refused = self.replayed = self.logged = 0
        self._runs: set[str] = set()

    def deliver(self, batch: Batch) -> None:
        """The batch, but for what is refused."""
        if batch.window.full_refresh or batch.run_id in self._runs:
            self.replay()
        # Not of a batch that saw fewer columns: beside it a calm lake does not log a later row with the same values,
        # and with that row goes the knowledge that a field was empty. Here it would be logged first, and known.
        refused = [row for row in batch.rows if not batch.unread and self._chance.random() < 0.1]
        self._runs.add(batch.run_id)
        self.refused += len(refused)
        ids = {row["id"] for row in refused}
        self._put_away(batch, refused)
        present = (*batch.present, *(str(row["id"]) for row in refused))
        rows = tuple(row for row in batch.rows if row["id"] not in ids)
        self.pipeline.deliver(replace(batch, rows=rows, present=present))

    def replay(self) -> None:
        """Replay what was refused: twice, because the second time must change nothing."""
        one = self.pipeline
        flow = Flow(object_file=one.object_file, environment=one.environment, catalog=one.catalog)
        told = flow.replay_quarantine()
        assert told.refused == told.unplaceable == 0
        self.replayed, self.logged = self.replayed + told.replayed, self.logged + told.logged
        assert flow.replay_quarantine().replayed == 0

    def _put_away(self, batch: Batch, refused: list[dict[str, object]]) -> None:
        columns = self.pipeline.object_file.columns
        rows = [
            {"id": row["id"], "record": record_json(row, columns), "reasons": "refused by the rules of that day"}
            for row in refused
        ]
        folder = self._rejects / str(len(list(self._rejects.glob("*"))))
        files = write_parquet(str(folder), [pa.Table.from_pylist(rows, REJECT_SCHEMA)], REJECT_SCHEMA, "rejects")
        read = {name for name in columns if name not in batch.unread}
        origin = Origin(
            run_id=batch.run_id,
            extracted_at=batch.extracted_at,
            window_end=batch.window.end,
            observed_columns=",".join(sorted(read | {"isdeleted"})),
            org_id=ORG,
        )
        write_quarantine(
            catalog=self.pipeline.catalog,
            table_name=self.pipeline.tables.quarantine,
            reject_files=files,
            origin=origin,
            quarantined_at=NOW,
        )


def deliveries(shape: Shape, seed: int) -> Iterator[Batch]:
    """Batches of a random history; what comes between two full refreshes comes in any order."""
    chance = random.Random(seed)
    between: list[Batch] = []
    for batch in Generator(shape, seed=seed, records=RECORDS).batches():
        if batch.run_id == "suspicious":
            continue
        if batch.window.full_refresh:
            yield from chance.sample(between, len(between))
            between = []
            yield batch
        else:
            between.append(batch)
    yield from chance.sample(between, len(between))


@pytest.mark.parametrize("shape", [USER, ACCOUNT], ids=lambda shape: shape.noun)
def test_replayed_records_become_the_oracles_dimension(tmp_path: Path, shape: Shape) -> None:
    lake, refusing = Lake(shape), Refusing(Pipeline(duckdb_engine(tmp_path), shape), seed=1)
    for number, batch in enumerate(deliveries(shape, seed=1)):
        lake.deliver(batch)
        refusing.deliver(batch)
        if number % 4 == 1:
            # dbt has consumed the rest of a batch when its refused records arrive.
            refusing.pipeline.build()
    refusing.replay()
    refusing.pipeline.build()
    _check(refusing.pipeline, lake)
    refusing.pipeline.build("--full-refresh")
    _check(refusing.pipeline, lake)
    print(f"{shape.object}: {refusing.refused} refused, {refusing.replayed} replayed, {refusing.logged} logged")
    assert refusing.logged > RECORDS // 10


def _check(pipeline: Pipeline, lake: Lake) -> None:
    found = differences(lake.shape, pipeline.dimension(), dimension(lake.log))
    assert not found, f"dimension: {report(found)}"
    last = {record: known[-1].observed for record, known in lake.log.by_record().items()}
    found = mirror_differences(lake.shape, pipeline.mirror(), lake.log.mirror(), last)
    assert not found, f"mirror: {report(found, first=12)}"
