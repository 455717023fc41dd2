"""Upkeep and loads at once: neither loses a change, whoever commits first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from include.config.operating import TableUpkeep
from include.lake import mirror as mirror_module
from include.lake.data_changes import last_change
from include.lake.watermark import APPLIED_CHANGES_SNAPSHOT, STATE_PROPERTIES
from include.upkeep.compaction import compact
from include.upkeep.history import expire
from include.upkeep.tables import object_tables
from include.upkeep.upkeep import keep_up
from tests.include.upkeep.conftest import rows_of

SOON = datetime(2036, 1, 1, tzinfo=UTC)


def upkeep(lake: Any, *places: str) -> None:
    """Compaction of some tables, as another process does it."""
    for place in places or ("mirror", "changes"):
        compact(lake.connect().load_table(getattr(lake.tables, place)), from_files=2, file_bytes=10**6)


def loads(lake: Any, count: int, *, first: int = 0) -> None:
    for number in range(first, first + count):
        records = [
            lake.record(f"{key:018d}", number * 6 + 1, name=f"{key} at {number}") for key in range(number, number + 5)
        ]
        lake.run(records, start=number * 6 - 1 if number else None, end=number * 6 + 6)


def truth(lake: Any) -> tuple[Any, Any]:
    """Log and mirror without what differs by the clock or the file they are in."""
    return rows_of(lake.table("changes")), rows_of(lake.table("mirror"))


def twin(make_lake: Callable[..., Any], name: str) -> Any:
    lake = make_lake(name)
    loads(lake, 6)
    return lake


@pytest.fixture
def make_lake(tmp_path: Any, user_object: Any) -> Callable[..., Any]:
    from tests.include.lake.conftest import Lake

    return lambda name: Lake(tmp_path / name, user_object)


@pytest.mark.parametrize("step", ["planned", "logged"])
@pytest.mark.parametrize("places", [("changes",), ("mirror",), ("mirror", "changes")])
def test_a_compaction_in_the_middle_of_an_upsert_changes_nothing(
    make_lake: Callable[..., Any], step: str, places: tuple[str, ...]
) -> None:
    calm, beside = twin(make_lake, "calm"), twin(make_lake, "beside")
    loads(calm, 1, first=6)
    records = [beside.record(f"{key:018d}", 37, name=f"{key} at 6") for key in range(6, 11)]
    done: list[str] = []

    def meanwhile(reached: str) -> None:
        if reached == step and not done:
            done.append(reached)
            upkeep(beside, *places)

    made = beside.upsert(beside.staged(records, start=35, end=42), on_step=meanwhile)
    assert done
    assert made.logged == 5
    assert truth(beside) == truth(calm)
    assert beside.state() == calm.state().__class__(
        **{**vars(calm.state()), "applied_changes_snapshot": beside.state().applied_changes_snapshot}
    )
    loads(calm, 1, first=7)
    loads(beside, 1, first=7)
    assert truth(beside) == truth(calm)


def test_an_upsert_in_the_middle_of_a_compaction_wins(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.upkeep import compaction

    loads(lake, 6)
    real = compaction.write_files
    done: list[str] = []

    def overtaken(*arguments: Any, **named: Any) -> Any:
        if not done:
            done.append("overtaken")
            loads(lake, 1, first=6)
        return real(*arguments, **named)

    monkeypatch.setattr(compaction, "write_files", overtaken)
    kept = next(one for one in object_tables(lake.object_file, lake.environment) if one.place == "changes")
    report = keep_up(lake.connect(), kept, lake.environment, now=datetime.now(UTC))
    assert report is not None
    assert report.files_compacted == 7
    assert sum(rows_of(lake.table("changes")).values()) == 35
    assert len(lake.mirror()) == 11


def test_a_compaction_of_the_log_tells_the_mirror_nothing_new(lake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the mirror has applied stays applied: the next run does not go through the whole log."""
    loads(lake, 6)
    before = {name: lake.table("mirror").properties.get(name) for name in STATE_PROPERTIES}
    upkeep(lake)
    assert {name: lake.table("mirror").properties.get(name) for name in STATE_PROPERTIES} == before
    assert str(last_change(lake.table("changes"))) == before[APPLIED_CHANGES_SNAPSHOT]
    monkeypatch.setattr(mirror_module.ChangesLog, "ids_since", None)
    loads(lake, 1, first=6)


@pytest.mark.parametrize("expired", [False, True])
def test_what_the_log_has_and_the_mirror_lacks_is_applied_after_an_upkeep(lake: Any, expired: bool) -> None:
    """A run dies between its two commits; the upkeep comes before the next run."""
    loads(lake, 6)

    class Death(BaseException):
        pass

    def die(reached: str) -> None:
        if reached == "logged":
            raise Death

    records = [lake.record(f"{key:018d}", 37, name="lost?") for key in range(6, 11)]
    with pytest.raises(Death):
        lake.upsert(lake.staged(records, start=35, end=42), on_step=die)
    upkeep(lake)
    assert last_change(lake.table("changes")) != lake.state().applied_changes_snapshot
    held = () if expired else (lake.state().applied_changes_snapshot,)
    expire(lake.table("changes"), TableUpkeep(keep_history=timedelta(1), keep_snapshots=1), now=SOON, held=held)
    loads(lake, 1, first=7)
    assert {row["name"] for key, row in lake.mirror().items() if 6 <= int(key) <= 6} == {"lost?"}
    assert len(lake.mirror()) == 12
    assert last_change(lake.table("changes")) == lake.state().applied_changes_snapshot


def test_only_what_was_logged_since_is_gone_through(lake: Any) -> None:
    """A compacted file is as old as its rows, not as its compaction."""
    from include.lake.changes_log import ChangesLog

    loads(lake, 6)
    applied = lake.state().applied_changes_snapshot
    upkeep(lake, "changes")
    log = ChangesLog(lake.table("changes"), "systemmodstamp")
    assert log.ids_since(applied)[0].to_pylist() == []
    loads(lake, 1, first=6)
    log = ChangesLog(lake.table("changes"), "systemmodstamp")
    assert log.ids_since(applied)[0].to_pylist() == [f"{key:018d}" for key in range(6, 11)]
    upkeep(lake, "changes")
    log = ChangesLog(lake.table("changes"), "systemmodstamp")
    assert set(log.ids_since(applied)[0].to_pylist()) >= {f"{key:018d}" for key in range(6, 11)}


def test_the_snapshot_that_the_mirror_remembers_never_expires(lake: Any) -> None:
    loads(lake, 6)
    applied = lake.state().applied_changes_snapshot
    kept = next(one for one in object_tables(lake.object_file, lake.environment) if one.place == "changes")
    for number in range(4):
        compact(lake.table("changes"), from_files=2, file_bytes=10**6 + number)
    log = lake.table("changes")
    expire(log, TableUpkeep(keep_history=timedelta(1), keep_snapshots=1), now=SOON, held=kept.held(lake.catalog))
    assert {one.snapshot_id for one in lake.table("changes").snapshots()} == {
        applied,
        lake.table("changes").current_snapshot().snapshot_id,
    }
