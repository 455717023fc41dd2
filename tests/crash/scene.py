"""The scene of the deaths: the little world, some records in it that validation refuses, and what calm runs leave."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from include.salesforce.window import RunRequest
from include.staging.manifest import Api, ExtractionManifest, ValidationManifest
from include.staging.store import path_safe
from local.faults.bench import RUNS, Bench, Lake, numbered_run
from local.faults.killing import AtCommit, Fate, Run, live_run, strike
from local.faults.world import MIDNIGHT, SIX, expected_users, user
from local.org.handle import OrgHandle

#: Tasks of a run, in order, with how often each is the one to die in.
TASKS = {"check_source": 1, "extract": 4, "validate": 3, "upsert_raw": 5}

_NAMELESS, _NAMED_LATER, _NAMELESS_LATER = range(700, 706), range(700, 703), range(710, 713)
#: What differs from attempt to attempt in the quarantine.
_OWN = {"_quarantined_at", "_extracted_at"}


@dataclass(kw_only=True)
class Toll:
    """What a test did and found.

    :param kills: task → deaths in it.
    :param reruns: runs made again after deaths, to their ends.
    :param rows: rows compared.
    :param orphans: data files of the warehouse that no table knows.
    """

    kills: Counter[str] = field(default_factory=Counter)
    reruns: int = 0
    rows: int = 0
    orphans: int = 0


@dataclass(frozen=True, kw_only=True)
class Calm:
    """What a calm run left, and how long it took.

    :param lake: mirror, log and state.
    :param quarantine: rows with how often they are there.
    :param seconds: task → how long it took.
    :param changes: changes of the catalog that it made.
    """

    lake: Lake
    quarantine: Counter[tuple[Any, ...]]
    seconds: dict[str, float]
    changes: int


def write_rejects(path: Path) -> None:
    """Write the scenario of the users without a name, some of whom get one in the second window.

    :param path: a JSON-lines file.
    """
    born, named = (MIDNIGHT + timedelta(hours=1)), (SIX + timedelta(hours=1))
    events = [_event(born, "insert", number, {"Division": "North"}) for number in _NAMELESS]
    events += [_event(named, "insert", number, {"Division": "South"}) for number in _NAMELESS_LATER]
    events += [_event(named, "update", number, {"Name": f"User {number}"}) for number in _NAMED_LATER]
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def scheduled_run(number: int) -> RunRequest:
    """A run of the schedule, the last one included, which `numbered_run` makes a full refresh.

    :param number: which of `RUNS`.
    """
    end = RUNS[number]
    return RunRequest(kind="scheduled", run_after=end, logical_date=end, interval=(end - timedelta(hours=6), end))


class Scene:
    """An org that lives through the world, and lakes that runs die over.

    :param org: a running org with the world's events.
    :param folder: where lakes are made.
    """

    def __init__(self, org: OrgHandle, folder: Path) -> None:
        self.org, self._folder = org, folder
        self._calm: dict[tuple[Api, int], Calm] = {}
        self._lakes = 0

    def new_lake(self) -> Path:
        """A folder for one more lake."""
        self._lakes += 1
        return self._folder / f"lake_{self._lakes}"

    def run(self, folder: Path, api: Api, number: int, request: RunRequest | None = None) -> Run:
        """A run that is to be made; the org's clock is set to its end.

        :param folder: of the lake.
        :param api: by which rows are read.
        :param number: which of `RUNS`.
        :param request: what it asks for; default: `numbered_run`'s.
        """
        self.org.set_clock(RUNS[number])
        wanted = request or numbered_run(number)
        return Run(home=self.org.home.root, folder=folder, api=api, request=wanted, run_id=f"run {number}")

    def calm(self, api: Api, number: int) -> Calm:
        """What a lake holds after the runs up to this one, none of which died. Asked first, it moves the org's clock.

        :param api: by which rows are read.
        :param number: which of `RUNS`.
        """
        if (api, number) not in self._calm:
            folder = self.new_lake()
            for each in RUNS:
                run = self.run(folder, api, each)
                fate = self.live(run)
                marks = [mark for mark in fate.marks if mark[0] in TASKS or mark[0] == "end"]
                seconds = {name: after[1] - at for (name, at), after in itertools.pairwise(marks)}
                changes = sum(mark.startswith("commit") for mark, _ in fate.marks)
                lake, quarantine = self.holding(run)
                self._calm[api, each] = Calm(lake=lake, quarantine=quarantine, seconds=seconds, changes=changes)
        return self._calm[api, number]

    def live(self, run: Run) -> Fate:
        """Let a run go to its end.

        :param run: which one.
        """
        fate = strike(live_run, run, None, log=self._log(run))
        assert not fate.error, fate.error
        assert not fate.killed
        assert fate.last_mark == "end"
        return fate

    def kill(self, run: Run, task: str, after: float) -> Fate:
        """Let a run die some time after one of its tasks began.

        :param run: which one.
        :param task: name of the task.
        :param after: seconds.
        """
        fate = strike(live_run, run, None, mark=task, after=after, log=self._log(run))
        assert not fate.error, fate.error
        return fate

    def kill_at(self, run: Run, moment: AtCommit) -> Fate:
        """Let a run die right before or after a change of the catalog, if it gets there.

        :param run: which one.
        :param moment: which change.
        """
        fate = strike(live_run, run, moment, log=self._log(run))
        assert not fate.error, fate.error
        return fate

    def kill_some(self, run: Run, calm: Calm, dice: random.Random, toll: Toll, *, times: int) -> None:
        """Let a run die at random moments: its tasks begin where they died, or all of them are cleared before.

        :param run: which one.
        :param calm: how long its tasks take.
        :param dice: decides.
        :param toll: counts.
        :param times: deaths.
        """
        died = 0
        for _ in range(5 * times):
            if died == times:
                return
            if dice.random() < 0.5 or (run.xcom / "upsert_raw.json").exists():
                run.clear()
            left = [name for name in TASKS if not (run.xcom / f"{name}.json").exists()]
            task = dice.choices(left, weights=[TASKS[name] for name in left])[0]
            fate = self.kill(run, task, dice.uniform(0, calm.seconds[task]))
            if fate.killed:
                died += 1
                toll.kills[task_of(fate)] += 1
                leave_half_a_file(run, task_of(fate))
        assert died == times, f"{times} deaths were due, {died} happened"

    def holding(self, run: Run) -> tuple[Lake, Counter[tuple[Any, ...]]]:
        """What a run's lake holds now, its quarantine besides.

        :param run: whose lake.
        """
        bench = Bench(self.org, run.folder, api=run.api)
        rows: Counter[tuple[Any, ...]] = Counter()
        for row in bench.flow.catalog.load_table(bench.flow.tables.quarantine).scan().to_arrow().to_pylist():
            rows[tuple(sorted((name, value) for name, value in row.items() if name not in _OWN))] += 1
        return bench.lake(), rows

    def check(self, run: Run, number: int, toll: Toll) -> None:
        """A run that was made again has left what a calm one leaves, and nothing else.

        :param run: which one.
        :param number: which of `RUNS`.
        :param toll: counts.
        """
        calm = self.calm(run.api, number)
        lake, quarantine = self.holding(run)
        assert differing(lake.rows, calm.lake.rows) == []
        assert differing(quarantine, calm.quarantine) == []
        assert lake.state == calm.lake.state
        expected = expected_mirror(number)
        assert lake.mirror == expected
        toll.reruns += 1
        toll.rows += calm.lake.rows.total() + calm.quarantine.total() + len(expected)
        assert self.org.stats()["bulk_jobs"] == {}
        staging = run.folder / "staging"
        assert files_of(staging / "sf_user" / path_safe(run.run_id)) == named_files(run)
        assert files_of(staging / "_bulk_jobs") == set()

    def orphans(self, folder: Path) -> int:
        """Data files of a lake that none of its raw tables' snapshots names.

        :param folder: of the lake.
        """
        bench = Bench(self.org, folder, api="rest")
        tables = bench.flow.tables
        known = {
            row["file_path"]
            for name in (tables.mirror, tables.changes, tables.quarantine)
            for row in bench.flow.catalog.load_table(name).inspect.all_files().to_pylist()
        }
        written = {f"file://{path}" for path in (folder / "warehouse").rglob("*.parquet")}
        return len(written - known)

    def _log(self, run: Run) -> Path:
        return self._folder / f"{run.folder.name}.log"


def task_of(fate: Fate) -> str:
    """The task that a process was in when it died; `start` if in none yet.

    :param fate: of the process.
    """
    begun = [mark for mark, _ in fate.marks if mark in TASKS]
    return begun[-1] if begun else "start"


def leave_half_a_file(run: Run, task: str) -> None:
    """Leave a file in the staging folder of a dead task that the next attempt does not overwrite by chance.

    :param run: which one.
    :param task: in which it died.
    """
    folder = run.folder / "staging" / "sf_user" / path_safe(run.run_id) / task
    if task in {"extract", "validate"} and folder.is_dir():
        (folder / "rows-00099.parquet").write_bytes(b"PAR1 and no more")


def expected_mirror(number: int) -> dict[str, tuple[Any, ...]]:
    """What the mirror must hold after a run, from the events alone.

    :param number: which of `RUNS`.
    """
    found = expected_users(RUNS[number])
    if number > 1:
        found |= {user(nameless): ("North", None, False) for nameless in _NAMED_LATER}
    if number < max(RUNS):  # that somebody is gone shows in a full refresh only
        found = {key: (*values[:2], False) for key, values in found.items()}
    return found


def named_files(run: Run) -> set[str]:
    """Files of a run's staging folder that its manifests name, the extraction's manifest included.

    :param run: which one.
    """
    extraction = run.returned("extract", ExtractionManifest)
    validation = run.returned("validate", ValidationManifest)
    named: Sequence[str] = (*extraction.files, *validation.files, *validation.present_files)
    root = run.folder / "staging" / "sf_user" / path_safe(run.run_id)
    rejects = {"validate/rejects-00000.parquet"} if validation.rejected else set()
    return {str(Path(name).relative_to(root)) for name in named} | {"extract/manifest.json"} | rejects


def files_of(folder: Path) -> set[str]:
    """Names of all files below a folder.

    :param folder: need not be there.
    """
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def differing(found: Counter[tuple[Any, ...]], expected: Counter[tuple[Any, ...]]) -> list[str]:
    """What differs between rows, the first few in words.

    :param found: rows as they are.
    :param expected: rows as they ought to be.
    """
    return list(_told(found - expected, "too many")) + list(_told(expected - found, "missing"))


def _told(rows: Counter[tuple[Any, ...]], how: str) -> Iterator[str]:
    yield from (f"{how} ({rows.total()}): {row}" for row in list(rows.elements())[:3])


def _event(at: Any, op: str, number: int, fields: dict[str, Any]) -> dict[str, Any]:
    return {"at": at.isoformat(), "op": op, "object": "User", "Id": user(number), "fields": fields}
