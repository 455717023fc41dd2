"""The watch over failures: what it does of its steps, and of what it cannot read."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from include.lake import alert_log
from include.lake.alert_log import claim, open_failures
from salesforce_history import noting
from salesforce_history.alerts import callbacks, watch, watch_dag
from tests.plugins.alerts.cases import HALF_AN_HOUR, recovery
from tests.plugins.alerts.world import CHANNELS, DAG_ID, World, alert, flow, watch_run_fails
from tests.receivers import Receivers


@pytest.fixture
def unreadable(world: World) -> str:
    """The key of a failure that a later release has written, with a field that this one does not know."""
    key = "sf_user_pipeline/scheduled__0/failed/"
    claim(world.catalog, "sf_ops", alert("run_failed", key, run_id="scheduled__0"), at=datetime.now(UTC))
    alert_log._change(
        world.catalog, "sf_ops", [key], lambda row: {"alert": json.dumps({**json.loads(row["alert"]), "new": 1})}
    )
    return key


def test_a_row_that_cannot_be_read_does_not_hide_a_recovery(
    unreadable: str, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    recovery(world, pytest.MonkeyPatch())
    assert [record.kind for record in world.alerts()] == ["run_failed", "run_failed", "run_recovered"]
    assert [record.key for record in open_failures(world.catalog, "sf_ops")] == [unreadable]
    assert f"the alert {unreadable} in sf_ops.alerts cannot be read and is left alone" in caplog.text


def test_a_row_that_cannot_be_read_stops_no_step_of_the_watch(
    unreadable: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim(world.catalog, "sf_ops", alert("anomaly", "died"), at=datetime.now(UTC))
    world.fails(world.run(1))
    world.fails(world.run(2))
    world.watch(monkeypatch, after=HALF_AN_HOUR, states={"scheduled__2": "success"})
    told = {record.key: record.told_at for record in world.alerts()}
    assert told[unreadable] is None
    assert told["died"] is not None
    kinds = [record.kind for record in world.alerts()]
    assert kinds == ["run_failed", "anomaly", "run_failed", "run_failed", "run_recovered", "failure_unresolved"]


@pytest.mark.parametrize("broken", ["send_untold", "resolve_what_is_over", "escalate"])
def test_a_step_of_the_watch_that_fails_holds_up_no_other_and_fails_the_task(
    broken: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def step(name: str) -> Callable[..., int]:
        def work(*_: Any, **__: Any) -> int:
            done.append(name)
            if name == broken:
                raise ConnectionError("the catalog does not answer")
            return 0

        return work

    steps = ["send_untold", "resolve_what_is_over", "escalate"]
    for name in steps:
        monkeypatch.setattr(watch, name, step(name))
    with pytest.raises(ConnectionError):
        watch_dag.WatchOperator(task_id="look").execute(world.context(world.run(1), "look"))
    assert done == steps
    assert noting.noted_here(DAG_ID, "scheduled__1")["look"].error == "ConnectionError"


def test_the_watch_tells_of_its_own_failure(world: World) -> None:
    (dag,) = watch_dag.build_watch().values()
    assert dag.on_failure_callback is callbacks.tell_of_watch_failure
    watch_run_fails(world, 1, before=None)
    (record,) = world.alerts()
    assert record.key == "sf_history_watch/2026-01-05"
    assert record.subject == "[local] the watch failed: ConnectionError"
    assert "What: ConnectionError: the catalog does not answer" in record.text


def test_the_watch_does_not_tell_every_five_minutes_of_a_lake_that_is_down(no_lake: None, receivers: Receivers) -> None:
    nowhere = World.__new__(World)
    nowhere.dag = flow()
    watch_run_fails(nowhere, 1, before=None)
    watch_run_fails(nowhere, 2, before=1)
    assert {name: len(found) for name, found in receivers.all().items()} == dict.fromkeys(CHANNELS, 1)
