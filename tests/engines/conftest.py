"""One AWS and one Trino for all tests of a session; each test has databases and buckets of its own in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloud.aws import Aws, start_aws
from local.cloud.trino import Trino, start_trino, trino_missing
from tests.engines.engines import Engine, trino_engine
from tests.include.lake.conftest import hours_of, user_object  # noqa: F401 - fixtures of the tests of the upsert


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    with start_aws() as running:
        yield running


@pytest.fixture(scope="session")
def trino_server(aws: Aws) -> Iterator[Trino]:
    """A Trino over `aws`; without Maven or Java the test is skipped, and says what to install."""
    if missing := trino_missing():
        pytest.skip(missing)
    with start_trino(aws) as running:
        yield running


@pytest.fixture
def on_trino(trino_server: Trino, aws: Aws, tmp_path: Path) -> Engine:
    """Trino over an empty lake that has the default names."""
    engine = trino_engine(trino_server, aws, tmp_path)
    engine.empty()
    return engine
