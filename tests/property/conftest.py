"""What the property tests share: dbt parsed once, and one table of how often each rule of history occurred."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.oracle import rules


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how often each rule occurred in all random histories together."""
    counted: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", []):
                if name == "rules" and report.when == "call":
                    counted.update(value)
    if counted:
        terminalreporter.section("rules of history that the random histories met")
        terminalreporter.write_line(rules.table(counted))
