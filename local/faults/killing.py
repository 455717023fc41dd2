"""Real deaths: work in a process of its own, which SIGKILL ends at a chosen moment, wherever it may be just then.

A process is forked within milliseconds by a server that has imported everything and used nothing: no thread of Arrow
or DuckDB is running there. `live_run` is a run of the bench that remembers, as Airflow's XCom does, what its finished
tasks returned.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel
from pyiceberg.catalog.sql import SqlCatalog

from include.salesforce.window import RunRequest
from include.staging.manifest import Api
from include.staging.store import path_safe
from local.faults.bench import Bench
from local.org.handle import OrgHandle

_Manifest = TypeVar("_Manifest", bound=BaseModel)

#: Told by a process about itself, as it goes: the step it begins, the commit it is about to make.
Tell = Callable[[str], None]

_FORKS = multiprocessing.get_context("forkserver")
_IMPORTED = (
    "local.faults.killing",
    "dbt.cli.main",
    "local.lake.duckdb_plugin",
    "pyiceberg.io.pyarrow",
    "tests.crash.lives",
)
_XCOM = "xcom"
_CHANGES = ("commit_table", "create_table", "drop_table")


@dataclass(frozen=True, kw_only=True)
class Fate:
    """How a process ended.

    :param marks: what it told about itself, with the seconds since its first mark.
    :param killed: it was killed; else it ended by itself.
    :param error: the traceback that it ended with, '' if it did not.
    """

    marks: tuple[tuple[str, float], ...]
    killed: bool
    error: str

    @property
    def last_mark(self) -> str:
        """Where it was when it ended; '' if it had not begun."""
        return self.marks[-1][0] if self.marks else ""


@dataclass(frozen=True, kw_only=True)
class AtCommit:
    """The moment right before or right after a change of the catalog: a table made, committed to, or dropped.

    :param nth: which of the process's changes, from 1.
    :param side: of the change.
    """

    nth: int
    side: Literal["before", "after"]


def strike(
    work: Callable[..., None],
    *arguments: Any,
    mark: str | None = None,
    after: float = 0.0,
    environment: Mapping[str, str] | None = None,
    log: Path,
) -> Fate:
    """Let a process do some work, and kill it.

    :param work: a function of a module, called with `tell` and the arguments.
    :param arguments: anything that can be pickled.
    :param mark: the mark from which the time is counted; None: it is not killed from outside.
    :param after: seconds from that mark to its death.
    :param environment: environment variables of the process besides those of this one.
    :param log: file for whatever it prints.
    """
    _FORKS.set_forkserver_preload(list(_IMPORTED))
    receiving, sending = _FORKS.Pipe(duplex=False)
    variables = {**os.environ, **(environment or {})}
    process = _FORKS.Process(target=_live, args=(sending, variables, log, work, arguments))
    process.start()
    sending.close()
    marks: list[tuple[str, float]] = []
    error, dies_at = "", None
    with receiving, contextlib.suppress(EOFError, OSError):
        while True:
            if dies_at is not None and not receiving.poll(max(0.0, dies_at - time.monotonic())):
                process.kill()
                dies_at = None
            kind, text, at = receiving.recv()
            if kind == "error":
                error = text
                continue
            marks.append((text, at))
            if text == mark and dies_at is None:
                dies_at = time.monotonic() + after
    process.join()
    return Fate(marks=tuple(marks), killed=process.exitcode == -signal.SIGKILL, error=error)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that is to be made, as a process is told of it.

    :param home: of the org.
    :param folder: of the lake.
    :param api: by which rows are read.
    :param request: what the run asks for.
    :param run_id: of Airflow.
    """

    home: Path
    folder: Path
    api: Api
    request: RunRequest
    run_id: str

    @property
    def xcom(self) -> Path:
        """Where the tasks of the run leave what they return."""
        return self.folder / _XCOM / path_safe(self.run_id)

    def returned(self, task: str, manifest: type[_Manifest]) -> _Manifest:
        """What a task of the run has returned.

        :param task: its name.
        :param manifest: its manifest's class.
        """
        return manifest.model_validate_json((self.xcom / f"{task}.json").read_bytes())

    def clear(self) -> None:
        """Forget what the tasks returned: the run begins anew, as when all of its tasks are cleared."""
        shutil.rmtree(self.xcom, ignore_errors=True)


def live_run(tell: Tell, run: Run, dies: AtCommit | None) -> None:
    """One run of the bench, from the first task that has not returned yet.

    :param tell: told of each task as it begins, of each change of the catalog, and of the end.
    :param run: which one.
    :param dies: a change of the catalog that is its last moment; None: it is not killed from inside.
    """
    bench = Bench(OrgHandle(run.home), run.folder, api=run.api)
    run.xcom.mkdir(parents=True, exist_ok=True)

    def task(name: str, returns: type[_Manifest], step: Callable[[], _Manifest]) -> _Manifest:
        said = run.xcom / f"{name}.json"
        if said.exists():
            return returns.model_validate_json(said.read_bytes())
        tell(name)
        manifest = step()
        fresh = said.with_suffix(".part")
        fresh.write_text(manifest.model_dump_json(), encoding="utf-8")
        fresh.replace(said)
        return manifest

    with changes_told(tell, dies):
        bench.run(run.request, run_id=run.run_id, task=task)
    tell("end")


@contextlib.contextmanager
def changes_told(tell: Tell, dies: AtCommit | None) -> Iterator[None]:
    """Tell of every change that this process makes to a catalog, and die at one of them.

    :param tell: told `commit <n>: <method>` before each.
    :param dies: where; None: nowhere.
    """
    made = 0

    def watched(name: str, change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal made
            made += 1
            number = made
            tell(f"commit {number}: {name}")
            _die_if(dies == AtCommit(nth=number, side="before"))
            result = change(*arguments, **named)
            _die_if(dies == AtCommit(nth=number, side="after"))
            return result

        return call

    plain = {name: getattr(SqlCatalog, name) for name in _CHANGES}
    for name, change in plain.items():
        setattr(SqlCatalog, name, watched(name, change))
    try:
        yield
    finally:
        for name, change in plain.items():
            setattr(SqlCatalog, name, change)


def _die_if(now: bool) -> None:
    if now:
        os.kill(os.getpid(), signal.SIGKILL)


def _live(
    sending: Connection,
    environment: Mapping[str, str],
    log: Path,
    work: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environment)
    began: list[float] = []

    def tell(mark: str) -> None:
        now = time.monotonic()
        began.append(now)
        sending.send(("mark", mark, now - began[0]))

    try:
        work(tell, *arguments)
    except BaseException:
        sending.send(("error", traceback.format_exc(), 0.0))
        raise
