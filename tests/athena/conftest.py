"""One Athena for the tests of a session, over one Trino and one AWS; each test has databases of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.cloud.aws import Aws
from local.cloud.trino import Trino
from local.org.scenario import load_scenario
from tests.athena.asking import RESULTS, Asking
from tests.athena.endpoint import Athena, start_athena
from tests.athena.lake import athena_engine
from tests.athena.moto import client
from tests.engines.conftest import aws, trino_server
from tests.engines.engines import Engine, duckdb_engine
from tests.engines.replay import replay

__all__ = ["aws", "trino_server"]

DATA = "athena-data"
BY_HAND = Path(__file__).resolve().parents[1] / "oracle" / "by_hand.jsonl"


@pytest.fixture(scope="session")
def athena(aws: Aws, trino_server: Trino) -> Iterator[Athena]:
    s3 = client(aws, "s3")
    for bucket in (RESULTS, DATA):
        s3.create_bucket(Bucket=bucket)
    with start_athena(aws, trino_server) as running:
        yield running


@pytest.fixture
def database(aws: Aws) -> str:
    """A database of the test's own."""
    name = f"db_{uuid.uuid4().hex[:8]}"
    client(aws, "glue").create_database(DatabaseInput={"Name": name})
    return name


@pytest.fixture
def ask(athena: Athena, database: str) -> Asking:
    """Asks Athena, in the test's database."""
    return Asking(athena, database)


@pytest.fixture
def glue(aws: Aws) -> Any:
    return client(aws, "glue")


@pytest.fixture(scope="session")
def by_hand(athena: Athena, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The lake that the scenario on paper leaves (tests/oracle/by_hand.md), by way of Athena."""
    engine = athena_engine(athena, tmp_path_factory.mktemp("by_hand"), suffix="by_hand")
    replay(load_scenario(BY_HAND), engine)
    return engine


@pytest.fixture
def s3(aws: Aws) -> Any:
    return client(aws, "s3")


@pytest.fixture(scope="session")
def by_hand_on_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The same on a laptop."""
    engine = duckdb_engine(tmp_path_factory.mktemp("by_hand_on_duckdb"))
    replay(load_scenario(BY_HAND), engine)
    return engine
