"""What the triggerer does at a deadline: it asks Airflow, again if need be, and tells with the object's routing."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from include.alerts.alert import Alert
from salesforce_history.alerts import late_runs, lateness
from salesforce_history.alerts.lateness import tell_if_late

WATCH = {
    "noun": "user", "sla_seconds": 900, "escalate_seconds": 0, "groups": {"upsert": ["upsert_raw"]},
    "rebuild_task": "rebuild_history", "models": "dbt_scd2.", "dag_version": "1",
}  # fmt: skip
RUN = {
    "dag_id": "sf_user_pipeline", "dag_run_id": "scheduled__1", "run_type": "scheduled", "state": "running",
    "queued_at": "2026-01-05T06:00:00Z", "data_interval_start": "2026-01-05T00:00:00Z",
    "data_interval_end": "2026-01-05T06:00:00Z",
}  # fmt: skip


class Airflow:
    """Stands for Airflow's answers to a trigger, which only a triggerer gets. It fails so many times first."""

    def __init__(self, state: str, *, runs: int = 1, fails: int = 0) -> None:
        self.state, self.runs, self.fails = state, runs, fails
        self.threads: list[str] = []

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str]]:
        assert (dag_id, run_ids) == ("sf_user_pipeline", ["scheduled__1"])
        self.threads.append(threading.current_thread().name)
        if self.fails:
            self.fails -= 1
            raise ConnectionError("database is locked")
        return {run_ids[0]: {"upsert_raw": self.state}}

    def get_dr_count(self, *, dag_id: str, run_ids: list[str], states: list[str]) -> int:
        assert (dag_id, run_ids) == ("sf_user_pipeline", ["scheduled__1"])
        assert states == ["queued", "running"]
        return self.runs


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Alert, str]]:
    found: list[tuple[Alert, str]] = []

    def tell(alert: Alert, *, object_file: Any) -> bool:
        found.append((alert, object_file.noun))
        return True

    monkeypatch.setattr(late_runs, "tell", tell)
    monkeypatch.setattr(lateness, "PAUSES", (0.0, 0.0, 0.0))
    return found


def answer(airflow: Airflow, monkeypatch: pytest.MonkeyPatch, **watch: Any) -> str:
    monkeypatch.setattr(late_runs, "RuntimeTaskInstance", airflow)
    return asyncio.run(tell_if_late(context={"dag_run": RUN, "deadline": {}}, **{**WATCH, **watch}))


def test_it_tells_off_the_event_loop(told: list[tuple[Alert, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    airflow = Airflow("running")
    assert answer(airflow, monkeypatch).startswith("told: SLA missed: upsert unfinished 15 min")
    ((alert, noun),) = told
    assert (noun, alert.object, alert.kind) == ("user", "User", "sla_missed")
    assert alert.interval is not None
    assert alert.links["run"].endswith("/dags/sf_user_pipeline/runs/scheduled__1")
    assert alert.links["runbook"].endswith("runbook.md#alert-sla-missed")
    assert threading.main_thread().name not in airflow.threads


@pytest.mark.parametrize("airflow", [Airflow("success"), Airflow("running", runs=0)], ids=["done", "the run has ended"])
def test_it_is_silent(airflow: Airflow, told: list[tuple[Alert, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(airflow, monkeypatch) == "silent: upsert"
    assert told == []


def test_it_asks_again_where_airflow_does_not_answer(
    told: list[tuple[Alert, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow = Airflow("running", fails=3)
    answer(airflow, monkeypatch)
    assert (len(airflow.threads), len(told)) == (4, 1)
    with pytest.raises(ConnectionError):
        answer(Airflow("running", fails=4), monkeypatch)


def test_no_thread_is_held_between_two_questions(
    told: list[tuple[Alert, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one thread for all of them, a deadline whose Airflow does not answer lets the next one go first."""
    asked: list[str] = []

    class Silent:
        def get_task_states(self, *, run_ids: list[str], **_: Any) -> dict[str, dict[str, str]]:
            asked.append(run_ids[0])
            if asked == ["first"]:
                raise ConnectionError("database is locked")
            return {run_ids[0]: {"upsert_raw": "success"}}

        def get_dr_count(self, **_: Any) -> int:
            return 1

    monkeypatch.setattr(late_runs, "RuntimeTaskInstance", Silent())

    async def both() -> list[str]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=1))
        runs = ({**RUN, "dag_run_id": name} for name in ("first", "second"))
        return await asyncio.gather(*(tell_if_late(context={"dag_run": run}, **WATCH) for run in runs))

    assert asyncio.run(both()) == ["silent: upsert"] * 2
    assert asked == ["first", "second", "first"]


def test_an_object_that_is_gone_is_nobodys_business(
    told: list[tuple[Alert, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert answer(Airflow("running"), monkeypatch, noun="gone") == "silent: gone has no object file any more"
    assert told == []
