"""What the property tests share: dbt parsed once, and one table of how often each rule of history occurred."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from tests.oracle import rules

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The dbt project, parsed once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SF_HISTORY_LAKE", str(tmp_path_factory.mktemp("parse")))
        result = dbtRunner().invoke(
            [
                "parse",
                "--project-dir", str(PROJECT / "dbt"),
                "--profiles-dir", str(PROJECT / "dbt"),
                "--target", "local",
                "--target-path", str(tmp_path_factory.mktemp("target")),
                "--log-path", str(tmp_path_factory.mktemp("logs")),
                "--quiet",
            ]
        )  # fmt: skip
    assert isinstance(result.result, Manifest), result.exception
    return result.result


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
