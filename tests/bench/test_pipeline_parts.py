"""Every second of a run is in one part, and in the part that the run waited for."""

from __future__ import annotations

import pytest

from bench.pipeline_parts import DBT_STARTING, DBT_WORK, SCHEDULING, STARTING, WATCHING, WORK, TaskTimes, split


def task(task_id: str, began: float, ready: float, done: float) -> TaskTimes:
    return TaskTimes(task_id=task_id, began=began, ready=ready, done=done, cpu_ready=0.0, cpu_done=0.0)


def parts(*tasks: TaskTimes, ended: float, dbt: dict[str, float] | None = None) -> dict[str, float]:
    found = split(tasks, began=100.0, ended=ended, dbt_group="dbt.", dbt_seconds=dbt or {})
    assert sum(found.values()) == pytest.approx(ended - 100.0)
    return {part: seconds for part, seconds in found.items() if seconds}


def test_what_no_task_does_is_scheduling() -> None:
    assert parts(task("extract", 101, 103, 107), ended=110) == {SCHEDULING: 4, STARTING: 2, WORK: 4}


def test_the_last_seconds_of_dbt_are_its_nodes() -> None:
    assert parts(task("dbt.producer", 100, 101, 109), ended=109, dbt={"dbt.producer": 3}) == {
        STARTING: 1,
        DBT_STARTING: 5,
        DBT_WORK: 3,
    }


def test_a_task_that_watches_while_dbt_works_is_not_waited_for() -> None:
    found = parts(
        task("dbt.producer", 100, 101, 106),
        task("dbt.model.run", 102, 103, 108),
        ended=108,
        dbt={"dbt.producer": 5},
    )
    assert found == {STARTING: 1, DBT_WORK: 5, WATCHING: 2}


def test_what_ended_after_the_run_counts_until_its_end() -> None:
    assert parts(task("publish", 100, 101, 112), ended=105) == {STARTING: 1, WORK: 4}
