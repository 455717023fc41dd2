"""One org that lives through the world, and the dice: CRASH_SEED gives the seed again that a run has printed."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from local.faults.world import write_world
from local.org.handle import start_org
from tests.crash.scene import Scene, Toll, write_rejects

#: One seed for all tests of a session, on whichever workers they run.
SEED = int(os.environ.get("CRASH_SEED") or random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID")).randrange(10**6))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An org with the world's events."""
    folder = tmp_path_factory.mktemp("crash")
    write_world(folder / "world.jsonl")
    write_rejects(folder / "rejects.jsonl")
    with start_org(folder / "org") as org, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(org.ca_bundle))
        org.load_events(folder / "world.jsonl")
        org.load_events(folder / "rejects.jsonl")
        yield Scene(org, folder)


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this test's own."""
    print(f"CRASH_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture
def toll(record_property: Callable[[str, object], None]) -> Iterator[Toll]:
    """Counts for the line at the end of the session."""
    counted = Toll()
    yield counted
    record_property(
        "crash_toll",
        {
            "seed": SEED,
            "kills": dict(counted.kills),
            "reruns": counted.reruns,
            "rows": counted.rows,
            "orphans": counted.orphans,
        },
    )
