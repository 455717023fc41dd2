"""The oracle against a scenario worked out on paper (by_hand.md), and what must hold whatever the scenario."""

from __future__ import annotations

import json
import random
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.oracle import __main__ as command
from tests.oracle.history_model import dimension
from tests.oracle.org_model import OPS, read_scenario
from tests.oracle.reads import Lake, Refused
from tests.oracle.replay import intervals, replay
from tests.oracle.scenarios import random_scenario
from tests.oracle.shapes import SHAPES, Shape

HERE = Path(__file__).parent
SCENARIO = HERE / "by_hand.jsonl"
#: Hypothesis' randomness shrinks: a scenario that fails is cut down to its few guilty events.
SCENARIOS = st.builds(
    random_scenario,
    st.randoms(use_true_random=False),
    object_name=st.sampled_from(sorted(SHAPES)),
    records=st.integers(1, 3),
    intervals=st.integers(1, 5),
)


def lived_through(events: list[dict[str, Any]]) -> Lake:
    """The lake after `make run` on these events."""
    shape = SHAPES[events[0]["object"]]
    return replay(shape, read_scenario([json.dumps(event) for event in events]))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.noun)
def test_the_command_prints_the_rows_worked_out_on_paper(shape: Shape, capsys: pytest.CaptureFixture[str]) -> None:
    command.main([str(SCENARIO), "--object", shape.object])
    assert capsys.readouterr().out == (HERE / f"by_hand.{shape.noun}.csv").read_text(encoding="utf-8")


def test_the_scenario_on_paper_has_every_op_in_eight_intervals() -> None:
    events = read_scenario(SCENARIO.read_text(encoding="utf-8").splitlines())
    assert {event.op for event in events} == set(OPS)
    assert any(event.system for event in events)
    assert any(event.visible_at for event in events)
    assert len(list(intervals(events))) == 8
    assert len({event.id for event in events if event.object == "User"} - {None}) == 20


@settings(max_examples=60, deadline=None)
@given(SCENARIOS)
def test_versions_of_a_record_meet_without_gap_or_overlap(events: list[dict[str, Any]]) -> None:
    lake = lived_through(events)
    for _, versions in groupby(dimension(lake.log), key=lambda row: row[lake.shape.id]):
        rows = list(versions)
        assert [row["is_current"] for row in rows] == [False] * (len(rows) - 1) + [True]
        assert [row["effective_to"] for row in rows] == [*(row["effective_from"] for row in rows[1:]), None]
        starts: list[Any] = [row["effective_from"] for row in rows]
        assert all(one < other for one, other in pairwise(starts))
        states = [tuple(row[name] for name in _what_opens_versions(lake.shape)) for row in rows]
        assert all(one != other for one, other in pairwise(states))


@settings(max_examples=40, deadline=None)
@given(SCENARIOS, st.randoms(use_true_random=False))
def test_file_order_matters_only_within_one_second(events: list[dict[str, Any]], chance: random.Random) -> None:
    at_once = [(event.get("Id"), event["at"]) for event in events]
    assume(len(set(at_once)) == len(at_once))
    shuffled = chance.sample(events, len(events))
    assert dimension(lived_through(shuffled).log) == dimension(lived_through(events).log)


def test_many_random_scenarios_meet_the_edges_that_they_are_meant_to() -> None:
    edges = dict.fromkeys(("on a window's edge", "on an overlap's edge", "in one second", "late", "refused"), 0)
    for seed in range(60):
        events = random_scenario(random.Random(seed), records=10, nameless=0.02)
        clocks = [event["at"][11:] for event in events]
        edges["on a window's edge"] += sum(clock in ("00:00:00Z", "06:00:00Z", "12:00:00Z") for clock in clocks)
        edges["on an overlap's edge"] += sum(clock in ("05:00:00Z", "11:00:00Z", "17:00:00Z") for clock in clocks)
        at_once = [(event["Id"], event["at"]) for event in events if "Id" in event]
        edges["in one second"] += len(at_once) - len(set(at_once))
        edges["late"] += sum("visible_at" in event for event in events)
        try:
            lived_through(events)
        except Refused:
            edges["refused"] += 1
    assert all(edges.values()), edges


def _what_opens_versions(shape: Shape) -> tuple[str, ...]:
    return (*(shape.attributes[name] for name in shape.tracked), "is_deleted")
