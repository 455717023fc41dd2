"""Writers who meet on Glue, and an AWS that loses answers, throttles and slows down: no row is lost or doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from include.lake.watermark import WATERMARK
from tests.cloud.conftest import CloudLake
from tests.cloud.wire import ANSWER_LOST, SLOW_DOWN, Fault, count, first, glue_error

THROTTLED = glue_error("ThrottlingException", "Rate exceeded")


def first_load(lake: CloudLake) -> None:
    lake.run([lake.record(key, 1, division="North") for key in "abcdef"], end=6)


def whole(lake: CloudLake, expected: dict[str, str]) -> None:
    """The mirror is as expected, and the log has each observation once."""
    assert {key: row["division"] for key, row in lake.mirror().items()} == expected
    observations = Counter((row["id"], row["_row_hash"], row["_change"]) for row in lake.rows("changes"))
    assert set(observations.values()) == {1}
    assert len(observations) == 6 + sum(division != "North" for division in expected.values())


def test_data_and_watermark_are_one_commit(lake: CloudLake) -> None:
    first_load(lake)
    with lake.cloud.wire.listen() as said:
        lake.run([lake.record("a", 7, division="South")], start=5, end=12)
    updates = [request.resource for request in said if request.operation == "UpdateTable"]
    assert updates == [lake.tables.changes, lake.tables.mirror]
    mirror = lake.table("mirror")
    before = [entry.metadata_file for entry in mirror.metadata.metadata_log]
    assert mirror.properties[WATERMARK].startswith("2026-01-05T12:00")
    previous = lake.catalog._load_file_io(mirror.properties, before[-1])  # type: ignore[attr-defined]
    from pyiceberg.serializers import FromInputFile

    old = FromInputFile.table_metadata(previous.new_input(before[-1]))
    assert old.properties[WATERMARK].startswith("2026-01-05T06:00")
    assert old.current_snapshot_id != mirror.metadata.current_snapshot_id


@pytest.mark.parametrize("step", ["planned", "logged"])
def test_of_two_who_planned_on_the_same_version_one_plans_again(lake: CloudLake, step: str) -> None:
    first_load(lake)
    slow = lake.staged([lake.record("a", 7, division="South"), lake.record("b", 7, division="South")], start=5, end=12)
    fast = lake.staged([lake.record("b", 8, division="West"), lake.record("c", 8, division="West")], start=5, end=13)
    waiting: list[Callable[[], Any]] = [lambda: lake.upsert(fast)]

    def on_step(reached: str) -> None:
        if reached == step and waiting:
            waiting.pop()()

    assert lake.upsert(slow, on_step=on_step).attempts == 2
    assert lake.state().watermark == lake.staged([], end=13).extraction.plan.window.end
    found = {key: row["division"] for key, row in lake.mirror().items()}
    assert found == {"a": "South", "b": "West", "c": "West", "d": "North", "e": "North", "f": "North"}
    logged = Counter((row["id"], row["_row_hash"]) for row in lake.rows("changes"))
    assert max(logged.values()) == 1
    assert len(logged) == 6 + 4


def test_many_at_once_end_as_one_after_the_other_would(lake: CloudLake) -> None:
    first_load(lake)
    batches = [
        lake.staged([lake.record(key, 7 + number, division="South")], start=5, end=8 + number)
        for number, key in enumerate("abcd")
    ]
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(lake.upsert, batches))
    whole(lake, {key: "South" if key in "abcd" else "North" for key in "abcdef"})


def test_tables_are_made_once_by_two_who_find_none(lake: CloudLake) -> None:
    batches = [lake.staged([lake.record(key, 1)], end=6 + number) for number, key in enumerate("ab")]
    with ThreadPoolExecutor(2) as writers:
        list(writers.map(lake.upsert, batches))
    assert sorted(lake.mirror()) == ["a", "b"]


@pytest.mark.parametrize(
    ("fault", "again"),
    [
        (lambda lake: first(1, "UpdateTable", ANSWER_LOST, about=lake.tables.changes), "UpdateTable"),
        (lambda lake: first(1, "UpdateTable", ANSWER_LOST, about=lake.tables.mirror), "UpdateTable"),
        (lambda _: first(2, "UpdateTable", THROTTLED), "UpdateTable"),
        (lambda _: first(2, "GetTable", THROTTLED), "GetTable"),
        (lambda _: first(2, "GetObject", SLOW_DOWN), "GetObject"),
        (lambda _: first(2, "UploadPart", SLOW_DOWN), "UploadPart"),
        (lambda _: first(2, "HeadObject", SLOW_DOWN), "HeadObject"),
        (lambda _: first(1, "MultipartUpload", ANSWER_LOST), "MultipartUpload"),
    ],
    ids=[
        "the answer to the log's commit is lost",
        "the answer to the mirror's commit is lost",
        "Glue throttles commits",
        "Glue throttles reads",
        "S3 slows reads down",
        "S3 slows writes down",
        "S3 slows looks down",
        "the answer to an upload is lost",
    ],
)
def test_what_aws_does_to_a_request_is_made_good(
    lake: CloudLake, fault: Callable[[CloudLake], Fault], again: str
) -> None:
    first_load(lake)
    staged = lake.staged([lake.record("a", 7, division="South"), lake.record("b", 7, division="East")], start=5, end=12)
    struck = fault(lake)
    strikes = []

    def watched(request: Any) -> Any:
        if (spoiled := struck(request)) is not None:
            strikes.append(request)
        return spoiled

    with lake.cloud.wire.listen() as said, lake.cloud.wire.spoiled(watched):
        lake.upsert(staged)
    assert strikes
    assert count(said)[again] > len(strikes)
    whole(lake, {"a": "South", "b": "East", "c": "North", "d": "North", "e": "North", "f": "North"})
    assert lake.snapshots() == (2, 2)
    assert lake.upsert(staged).logged == 0
    assert lake.snapshots() == (2, 2)


def test_the_answer_to_the_making_of_a_table_is_lost(lake: CloudLake) -> None:
    with lake.cloud.wire.spoiled(first(3, "CreateTable", ANSWER_LOST)):
        first_load(lake)
    whole(lake, dict.fromkeys("abcdef", "North"))
