"""One measurement: a function in a process of its own, its CPU time, wall time and peak memory.

What a subject prepares before it starts its clock is not counted, except that memory which it still holds is: a peak is
the process's own. The peak starts anew when the clock starts (Linux, /proc/self/clear_refs).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

#: Seconds between two looks at a process's memory.
_LOOK_SECONDS = 0.1
#: Wall seconds after which a process is stopped that prepares, or checks what came out.
_UNCOUNTED_SECONDS = 3_600
_MEGABYTE = 1024 * 1024

Outcome = Literal["done", "too much memory", "too long", "failed"]


class Sample(BaseModel):
    """What one run of a subject took.

    :param outcome: whether it ended by itself; if not, the figures say how far it came.
    :param cpu: seconds of CPU, user and system, children included, between start and stop of the clock.
    :param wall: seconds.
    :param peak_mb: most memory that the process held at once (MB of resident set), since the clock was started.
    :param facts: what the subject says about its work: rows written, bytes, seconds of a part.
    :param problem: the end of what a failed subject printed.
    :param load: processes that wanted a core when it began (load average of a minute); None if that is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    outcome: Outcome = "done"
    cpu: float = 0.0
    wall: float = 0.0
    peak_mb: float = 0.0
    facts: dict[str, float | str] = {}
    problem: str = ""
    load: float | None = None


@dataclass(frozen=True)
class Subject:
    """A function that is measured: it gets a `Clock` and the options, and returns facts.

    :param function: `module:name`.
    :param options: its keyword arguments; they must be JSON.
    """

    function: str
    options: Mapping[str, Any] = field(default_factory=dict)


class _Running(BaseModel):
    """A clock that runs.

    :param cpu: what the process had used before, what was not counted since then included.
    :param at: likewise, of `time.monotonic`, which is the same in all processes.
    """

    cpu: float
    at: float


class Clock:
    """Counts what happens inside `running()`; several times add up.

    :param begun: file that exists while the clock runs; it says since when, for who watches from outside.
    """

    def __init__(self, begun: Path | None = None) -> None:
        self.cpu = self.wall = 0.0
        self.peak_mb = 0.0
        self._begun = begun

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count what happens inside."""
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        cpu, wall = _cpu(), time.perf_counter()
        if self._begun:
            running = _Running(cpu=cpu - self.cpu, at=time.monotonic() - self.wall)
            self._begun.write_text(running.model_dump_json(), encoding="ascii")
        try:
            yield
        finally:
            if self._begun:
                self._begun.unlink()
            self.wall += time.perf_counter() - wall
            self.cpu += _cpu() - cpu
            self.peak_mb = max(self.peak_mb, peak_mb())


def measure(subject: Subject, *, most_mb: float, most_seconds: float, folder: Path) -> Sample:
    """Run a subject in a fresh process.

    :param subject: what to run.
    :param most_mb: resident memory (MB, the process and its children) at which it is stopped.
    :param most_seconds: wall time on its clock at which it is stopped.
    :param folder: working directory; the process may write there.
    """
    load = os.getloadavg()[0]
    return _measured(subject, most_mb=most_mb, most_seconds=most_seconds, folder=folder).model_copy(
        update={"load": load}
    )


def _measured(subject: Subject, *, most_mb: float, most_seconds: float, folder: Path) -> Sample:
    with tempfile.TemporaryDirectory() as scratch:
        answer, output, begun = (Path(scratch) / name for name in ("answer.json", "output.txt", "begun.json"))
        task = json.dumps(
            {
                "function": subject.function,
                "options": dict(subject.options),
                "answer": str(answer),
                "begun": str(begun),
            }
        )
        with output.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "bench.measure", task],
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        stopped = _watch(process, begun, most_mb=most_mb, most_seconds=most_seconds)
        if stopped is not None:
            return stopped
        if process.returncode or not answer.exists():
            return Sample(outcome="failed", problem=output.read_text(encoding="utf-8", errors="replace")[-4000:])
        return Sample.model_validate_json(answer.read_text(encoding="utf-8"))


def _watch(process: subprocess.Popen[bytes], begun: Path, *, most_mb: float, most_seconds: float) -> Sample | None:
    """Wait for a process, or stop it; None if it ended by itself."""
    uncounted = time.monotonic()
    peak = 0.0
    while True:
        try:
            process.wait(_LOOK_SECONDS)
            return None
        except subprocess.TimeoutExpired:
            now, running = time.monotonic(), _running(begun)
            if running is None:
                too_long = now - uncounted > _UNCOUNTED_SECONDS
            else:
                too_long, uncounted = now - running.at > most_seconds, now
            resident, used = _used(process.pid)
            peak = max(peak, resident)
            if too_long or resident > most_mb:
                _end(process)
                outcome: Outcome = "too long" if too_long else "too much memory"
                if running is None:
                    return Sample(outcome=outcome)
                return Sample(outcome=outcome, cpu=max(0.0, used - running.cpu), wall=now - running.at, peak_mb=peak)


def _running(begun: Path) -> _Running | None:
    # Gone, or not yet whole: the clock stops or starts at this moment.
    with contextlib.suppress(OSError, ValidationError):
        return _Running.model_validate_json(begun.read_text(encoding="ascii"))
    return None


def _used(pid: int) -> tuple[float, float]:
    """Resident memory (MB) and CPU (seconds) of a process and its children."""
    resident, cpu = 0, 0.0
    with contextlib.suppress(psutil.Error):
        for one in (found := psutil.Process(pid), *found.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                resident += one.memory_info().rss
                cpu += times.user + times.system + times.children_user + times.children_system
    return resident / _MEGABYTE, cpu


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(psutil.Error):
        for one in psutil.Process(process.pid).children(recursive=True):
            one.kill()
    process.kill()
    process.wait()


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    """The process's own peak, or that of its greatest child that has ended. Not getrusage's for itself: it keeps the
    parent's peak through fork and exec."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _run(task: Mapping[str, Any]) -> None:
    module, _, name = task["function"].partition(":")
    clock = Clock(Path(task["begun"]))
    facts = getattr(importlib.import_module(module), name)(clock, **task["options"]) or {}
    sample = Sample(cpu=clock.cpu, wall=clock.wall, peak_mb=clock.peak_mb, facts=facts)
    Path(task["answer"]).write_text(sample.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    _run(json.loads(sys.argv[1]))
