"""Random histories through the real upsert and the real dbt models on a real Trino: the dimension is the oracle's.

`HISTORY_SEED=17 HISTORY_RECORDS=3000 make test-trino` tries another one, or a larger one.
"""

from __future__ import annotations

import os

import pytest

from tests.engines.engines import Engine
from tests.oracle.histories import Generator, cut
from tests.oracle.reads import Lake
from tests.oracle.shapes import ACCOUNT, USER, Shape
from tests.property.pipeline import Pipeline
from tests.property.test_history_property import follow

pytestmark = pytest.mark.trino
SEED = int(os.environ.get("HISTORY_SEED", "1"))
RECORDS = int(os.environ.get("HISTORY_RECORDS", "600"))


@pytest.mark.parametrize(("shape", "parts"), [(USER, 3), (ACCOUNT, 2)], ids=["user", "account"])
def test_random_batches_become_the_oracles_dimension(on_trino: Engine, shape: Shape, parts: int) -> None:
    batches = Generator(shape, seed=SEED, records=RECORDS).deliveries()
    follow(Pipeline(on_trino, shape), Lake(shape), list(cut(batches, parts)), f"{shape.object} on Trino, seed {SEED}")
