"""The command of the cloud, where there is no make."""

from __future__ import annotations

import subprocess
import sys

from tests.airflow_process import PROJECT


def test_the_package_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "salesforce_history.ask", "--help"],
        cwd=PROJECT / "plugins",
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python -m salesforce_history.ask ")
    for question in ("validate-schema", "extraction-stats", "quarantine", "erase"):
        assert question in done.stdout
