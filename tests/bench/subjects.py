"""Work for the tests of the harness to measure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.measure import Clock

SPIN = "import time\nuntil = time.process_time() + {seconds}\nwhile time.process_time() < until: pass"


def spin(clock: Clock, *, prepared: float, counted: float) -> dict[str, float | str]:
    """Use CPU before the clock runs, and in a child while it runs."""
    exec(SPIN.format(seconds=prepared))  # noqa: S102
    with clock.running():
        subprocess.run([sys.executable, "-c", SPIN.format(seconds=counted)], check=True)
    return {"rows": 3}


def hold(clock: Clock, *, before: int, counted: int) -> None:
    """Hold memory (MB), give it back, then hold some while the clock runs."""
    block = bytearray(b"x" * (before << 20))
    del block
    with clock.running():
        bytearray(b"x" * (counted << 20))


def fail(clock: Clock) -> None:
    """Fail."""
    raise ValueError("no such table")


def hang(clock: Clock) -> None:
    """Use CPU for a while before the clock runs, then never end."""
    exec(SPIN.format(seconds=2))  # noqa: S102
    with clock.running():
        while True:
            sum(range(1000))


def count(clock: Clock, *, path: str) -> None:
    """Note that it ran."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("x")
