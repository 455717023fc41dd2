"""`make run` on a scenario with every op leaves the dimension that the oracle works out on paper, row for row.

The scenario comes in two parts, the second one with `--keep`: what one run in one go would have left is on paper.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import ask_lake, run_replay
from tests.oracle.__main__ import table
from tests.oracle.org_model import OPS, Event, read_scenario
from tests.oracle.replay import replay
from tests.oracle.shapes import ACCOUNT, USER, Shape

pytestmark = pytest.mark.scheduler
SCENARIO = Path(__file__).resolve().parents[1] / "oracle" / "every_op.jsonl"
#: Where the scenario is torn in two: an interval's end.
TORN_AT = "2026-01-05T18:00"
NOON = "2026-01-05T12:00"

Rows = list[dict[str, str]]


def events(path: Path = SCENARIO) -> list[Event]:
    return read_scenario(path.read_text(encoding="utf-8").splitlines())


def should_be(shape: Shape) -> Rows:
    """The dimension on paper."""
    return table(replay(shape, events()))


def is_(root: Path, shape: Shape) -> Rows:
    """The dimension that people see."""
    columns = ", ".join(shape.dimension_columns)
    return ask_lake(
        root, f"select {columns} from sf_curated.dim_sf_{shape.noun}_scd order by {shape.id}, effective_from"
    )


def log(root: Path) -> Rows:
    """What the logs of both objects hold."""
    return [
        row
        for noun in ("user", "account")
        for row in ask_lake(root, f"select id, _row_hash, _window_end from sf_raw.sf_{noun}_changes order by all")
    ]


def part_of(lines: list[str], path: Path) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def replayed(laptop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A laptop on which the scenario was replayed, torn in two: the second part goes on from the lake of the first."""
    parts = tmp_path_factory.mktemp("parts")
    lines = SCENARIO.read_text(encoding="utf-8").splitlines()
    first = part_of([line for line in lines if json.loads(line)["at"] < TORN_AT], parts / "first.jsonl")
    second = part_of([line for line in lines if json.loads(line)["at"] >= TORN_AT], parts / "second.jsonl")
    run_replay(laptop, "--scenario", first)
    run_replay(laptop, "--scenario", second, "--keep")
    return laptop


@pytest.fixture
def wrong(tmp_path: Path) -> Callable[[dict[str, object]], Path]:
    """Makes a scenario whose third line is as given."""

    def make(line: dict[str, object]) -> Path:
        lines = SCENARIO.read_text(encoding="utf-8").splitlines()
        lines[2] = json.dumps(line)
        path = tmp_path / "wrong.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return make


def test_the_scenario_has_every_op() -> None:
    assert {event.op for event in events()} == set(OPS)
    assert any(event.system for event in events())
    assert any(event.visible_at for event in events())


@pytest.mark.parametrize("shape", [USER, ACCOUNT], ids=lambda shape: shape.noun)
def test_a_replay_in_two_parts_leaves_the_oracles_dimension(replayed: Path, shape: Shape) -> None:
    assert is_(replayed, shape) == should_be(shape)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ({"at": "2026-01-05T01:00:00Z", "op": "insert", "object": "User", "Id": "005", "fields": {}}, "Id"),
        ({"at": "2026-01-05T01:00:00Z", "op": "vanish", "object": "User", "Id": "0055e0000000001"}, "op"),
        ({"at": "2026-01-05T01:00:00Z", "op": "delete", "object": "User", "Id": "0055e0000000001"}, "op"),
        ({"at": "yesterday", "op": "refresh", "object": "User"}, "at"),
        ({"at": "2026-01-05T01:00:00Z", "op": "refresh", "object": "User", "why": "so"}, "why"),
    ],
    ids=["short Id", "unknown op", "soft delete of a user", "no moment", "unknown key"],
)
def test_a_wrong_line_is_named_and_touches_nothing(
    replayed: Path, wrong: Callable[[dict[str, object]], Path], line: dict[str, object], key: str
) -> None:
    before = is_(replayed, USER)
    told = run_replay(replayed, "--scenario", str(wrong(line)), expect=2)
    assert "line 3" in told
    assert key in told.split("line 3", 1)[1]
    assert is_(replayed, USER) == before


def test_a_path_without_a_scenario_touches_nothing(replayed: Path, tmp_path: Path) -> None:
    before = is_(replayed, USER)
    told = run_replay(replayed, "--scenario", str(tmp_path / "nowhere.jsonl"), expect=2)
    assert "nowhere.jsonl" in told
    assert is_(replayed, USER) == before


def test_the_same_events_again_on_a_kept_lake_change_nothing(replayed: Path, tmp_path: Path) -> None:
    before, logged = [is_(replayed, USER), is_(replayed, ACCOUNT)], log(replayed)
    lines = SCENARIO.read_text(encoding="utf-8").splitlines()
    morning = part_of([line for line in lines if json.loads(line)["at"] < NOON], tmp_path / "morning.jsonl")
    told = run_replay(replayed, "--scenario", morning, "--keep")
    assert "that lie before" in told
    assert [is_(replayed, USER), is_(replayed, ACCOUNT)] == before
    assert log(replayed) == logged
