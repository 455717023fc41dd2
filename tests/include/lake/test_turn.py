"""One run at a time has its turn at an object's history."""

from __future__ import annotations

from typing import Any

from include.lake.turn import give_back_turn, take_turn


def goes_on(_: str) -> bool:
    return True


def is_over(_: str) -> bool:
    return False


def test_the_second_run_waits_until_the_first_gives_its_turn_back(lake: Any) -> None:
    lake.run([lake.record("01", 1)], end=6)
    assert take_turn(lake.catalog, lake.tables, run_id="first", goes_on=goes_on) is None
    assert take_turn(lake.catalog, lake.tables, run_id="first", goes_on=goes_on) is None
    assert take_turn(lake.catalog, lake.tables, run_id="second", goes_on=goes_on) == "first"
    give_back_turn(lake.catalog, lake.tables, run_id="second")
    assert take_turn(lake.catalog, lake.tables, run_id="second", goes_on=goes_on) == "first"
    give_back_turn(lake.catalog, lake.tables, run_id="first")
    assert take_turn(lake.catalog, lake.tables, run_id="second", goes_on=goes_on) is None


def test_a_run_that_is_over_has_lost_its_turn(lake: Any) -> None:
    lake.run([lake.record("01", 1)], end=6)
    take_turn(lake.catalog, lake.tables, run_id="killed", goes_on=goes_on)
    assert take_turn(lake.catalog, lake.tables, run_id="next", goes_on=is_over) is None
    give_back_turn(lake.catalog, lake.tables, run_id="killed")
    assert take_turn(lake.catalog, lake.tables, run_id="third", goes_on=goes_on) == "next"
    give_back_turn(lake.catalog, lake.tables, run_id=None)
    assert take_turn(lake.catalog, lake.tables, run_id="third", goes_on=goes_on) is None


def test_giving_back_what_nobody_took_is_fine(lake: Any) -> None:
    give_back_turn(lake.catalog, lake.tables, run_id="first")
    lake.run([lake.record("01", 1)], end=6)
    give_back_turn(lake.catalog, lake.tables, run_id="first")
    assert take_turn(lake.catalog, lake.tables, run_id="first", goes_on=goes_on) is None


def test_of_two_that_ask_at_once_one_gets_it(lake: Any) -> None:
    """The other one takes it after this one has looked, and before it commits."""
    lake.run([lake.record("01", 1)], end=6)
    take_turn(lake.catalog, lake.tables, run_id="killed", goes_on=goes_on)

    def overtaken(holder: str) -> bool:
        if holder == "killed":
            assert take_turn(lake.connect(), lake.tables, run_id="other", goes_on=is_over) is None
        return holder == "other"

    assert take_turn(lake.catalog, lake.tables, run_id="own", goes_on=overtaken) == "other"
