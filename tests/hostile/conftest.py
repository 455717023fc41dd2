"""What the hostile-input tests share: a count of the inputs that were tried, printed at the end of the session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest

#: Note inputs of a group: `tried("Params")`, `tried("values", 12)`.
Tried = Callable[..., None]

_KEY = "hostile_inputs"


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Iterator[Tried]:
    """Counts the inputs that a test tries."""
    counted: Counter[str] = Counter()

    def count(group: str, inputs: int = 1) -> None:
        counted[group] += inputs

    yield count
    record_property(_KEY, dict(counted))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many inputs each group has tried."""
    counted: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", []):
                if name == _KEY and report.when == "teardown":
                    counted.update(value)
    if counted:
        terminalreporter.section("hostile input")
        for group, inputs in sorted(counted.items()):
            terminalreporter.write_line(f"{inputs:>9,}  {group}")
        terminalreporter.write_line(f"inputs tried: {counted.total():,}")
