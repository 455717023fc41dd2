"""One case tried: its runs are struck, what fails is run again, and the lake is compared with a calm run's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.salesforce.errors import SalesforceProblem
from include.salesforce.window import WindowRefused
from local.faults.bench import RUNS, Bench, Lake, Told, numbered_run, overheard
from local.faults.cases import Case
from local.faults.story import Stage, Story
from local.faults.world import MOVED, expected_users, write_world
from local.org.handle import OrgHandle, start_org

_CONNECTION_VARIABLE = "REQUESTS_CA_BUNDLE"
#: Discard, where nothing listens any more.
_CLOSED_PORT = 9


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a case.

    :param case: the case.
    :param saw: what the user saw, in a line.
    :param stops: a run is stopped by it, and says why.
    :param rows: rows that were compared.
    :param problems: what does not hold, in words; differing rows count one each.
    """

    case: Case | Story
    saw: str
    stops: bool
    rows: int
    problems: tuple[str, ...]


class Trials:
    """An org that lives through the little world, and the oracles that calm runs left.

    :param org: a running org without faults.
    :param folder: where lakes are made.
    """

    def __init__(self, org: OrgHandle, folder: Path) -> None:
        self._org, self._folder = org, folder
        self._oracles: dict[tuple[tuple[int, ...], bool], Lake] = {}
        self._lakes = 0

    def attempt(self, case: Case | Story) -> Outcome:
        """Try a case.

        :param case: what is to go wrong.
        """
        return self._play(case) if isinstance(case, Story) else self._strike(case)

    def _play(self, story: Story) -> Outcome:
        self._lakes += 1
        folder = self._folder / f"story_{self._lakes}"
        folder.mkdir()
        with start_org(folder / "org") as org, trusting(org):
            stage = Stage(org, folder, api=story.api)
            story.play(stage)
        saw = stage.saw or "nothing: the run succeeds"
        return Outcome(case=story, saw=saw, stops=stage.stopped, rows=stage.rows, problems=tuple(stage.problems))

    def _strike(self, case: Case) -> Outcome:
        bench, told = self._bench(case), Told()
        problems: list[str] = []
        for number in case.runs:
            problems += self._struck_run(bench, case, number, told)
        lake, oracle = bench.lake(), self._oracle(case)
        problems += _differences(lake, oracle)
        expected = expected_users(RUNS[case.runs[-1]])
        problems += [
            f"{key}: expected {expected.get(key)}, the mirror has {lake.mirror.get(key)}"
            for key in sorted(expected.keys() | lake.mirror.keys())
            if expected.get(key) != lake.mirror.get(key)
        ]
        if case.says and not any(case.says in line for line in told.lines):
            problems.append(f"nobody said {case.says!r}")
        return Outcome(
            case=case,
            saw=_shown(case, told),
            stops=case.fails is not None,
            rows=oracle.rows.total() + len(expected),
            problems=tuple(problems),
        )

    def _struck_run(self, bench: Bench, case: Case, number: int, told: Told) -> Iterator[str]:
        connection = self._org.connection(case.login)
        self._calm(number)
        self._org.set_faults(case.faults)
        failed = self._run(bench, case, number, _broken(connection, case.wrong), told)
        struck = self._org.faults_struck()
        if not all(struck):
            yield f"run {number}: a fault struck nothing: {struck}"
        if case.most_struck is not None and max(struck, default=0) > case.most_struck:
            yield f"run {number}: {max(struck)} requests met the fault, {case.most_struck} are allowed"
        if type(failed) is not (case.fails or type(None)):
            yield f"run {number}: expected {case.fails.__name__ if case.fails else 'no error'}, got {failed!r}"
        if failed is not None:
            self._calm(number)
            if (again := self._run(bench, case, number, connection, Told())) is not None:
                yield f"run {number}, again without the fault: {again!r}"
        self._org.clear_faults()
        if jobs := self._org.stats()["bulk_jobs"]:
            yield f"run {number}: Bulk jobs are left in the org: {jobs}"

    def _run(
        self, bench: Bench, case: Case, number: int, connection: Mapping[str, Any], told: Told
    ) -> SalesforceProblem | WindowRefused | None:
        with overheard() as heard:
            try:
                bench.run(numbered_run(number), connection=connection, read_timeout=case.read_timeout)
                problem = None
            except (SalesforceProblem, WindowRefused) as error:
                problem = error
        told.lines += heard.lines
        if problem is not None:
            told.lines.append(f"{type(problem).__name__}: {problem}")
        return problem

    def _calm(self, number: int) -> None:
        self._org.clear_faults()
        self._org.set_limits(used=0)
        self._org.set_clock(RUNS[number])

    def _oracle(self, case: Case) -> Lake:
        """What calm runs leave, read by REST."""
        key = (case.runs, case.moved)
        if key not in self._oracles:
            bench = self._bench(case, calm=True)
            for number in case.runs:
                self._calm(number)
                if case.moved and number == 1:
                    self._org.set_clock(MOVED)
                with overheard():
                    bench.run(numbered_run(number))
            self._oracles[key] = bench.lake()
        return self._oracles[key]

    def _bench(self, case: Case, *, calm: bool = False) -> Bench:
        self._lakes += 1
        return Bench(self._org, self._folder / f"lake_{self._lakes}", api="rest" if calm else case.api)


@contextmanager
def trials() -> Iterator[Trials]:
    """An org of the trials' own, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        write_world(folder / "world.jsonl")
        with start_org(folder / "org") as org, trusting(org):
            org.load_events(folder / "world.jsonl")
            yield Trials(org, folder)


@contextmanager
def trusting(org: OrgHandle) -> Iterator[None]:
    """Trust an org's certificate for as long as the context lasts."""
    before = os.environ.get(_CONNECTION_VARIABLE)
    os.environ[_CONNECTION_VARIABLE] = str(org.ca_bundle)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CONNECTION_VARIABLE]
        else:
            os.environ[_CONNECTION_VARIABLE] = before


def _differences(lake: Lake, oracle: Lake) -> list[str]:
    found = [f"differs: {sign} {row}" for sign, rows in _both(lake, oracle) for row in rows]
    if lake.state[0] is None or oracle.state[0] is None or lake.state[0] > oracle.state[0]:
        found.append(f"watermark {lake.state[0]}, a calm run's {oracle.state[0]}")
    if lake.state[1] != oracle.state[1]:
        found.append(f"last complete refresh {lake.state[1]}, a calm run's {oracle.state[1]}")
    return found


def _both(lake: Lake, oracle: Lake) -> Iterator[tuple[str, list[Any]]]:
    yield "too many", list((lake.rows - oracle.rows).elements())
    yield "missing", list((oracle.rows - lake.rows).elements())


def _broken(connection: Mapping[str, Any], wrong: str) -> Mapping[str, Any]:
    if not wrong:
        return connection
    if wrong == "port":
        return {**connection, "extra": {**connection["extra"], "domain": f"127.0.0.1:{_CLOSED_PORT}/sim"}}
    if "password" in connection:
        return {**connection, "password": "not-the-password"}
    return {**connection, "extra": {**connection["extra"], "consumer_secret": "not-the-secret"}}


def _shown(case: Case, told: Told) -> str:
    """The line that tells most: the error, else the warning that the case is about, else the first one."""
    lines = [line for line in told.lines if case.fails and line.startswith(case.fails.__name__)]
    lines += [line for line in told.lines if case.says and case.says in line]
    return lines[0] if lines else "nothing: the run succeeds"
