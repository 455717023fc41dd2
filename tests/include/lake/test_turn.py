"""One run at a time has its turn at an object's history."""

from __future__ import annotations

import threading
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


def test_of_many_that_ask_at_once_one_gets_it(lake: Any) -> None:
    lake.run([lake.record("01", 1)], end=6)
    together = threading.Barrier(6)
    answers: dict[str, str | None] = {}

    def ask(run_id: str) -> None:
        own = lake.connect()
        together.wait()
        answers[run_id] = take_turn(own, lake.tables, run_id=run_id, goes_on=goes_on)

    threads = [threading.Thread(target=ask, args=(f"run {number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [run_id for run_id, holder in answers.items() if holder is None]
    assert len(winners) == 1
    assert {holder for holder in answers.values() if holder} == {winners[0]}
