"""A script in a cold process that has Airflow, and the project's plugins, under a home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent


def run_in_airflow(home: Path, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, however that is.

    :param home: Airflow's, and the working directory; made if need be. The lake is in it.
    :param script: Python.
    :param arguments: of the script.
    :param variables: environment variables, which win.
    """
    home.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
            "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}",
            "SF_HISTORY_LAKE": str(home / "lake"),
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
    )


def answer_of(done: subprocess.CompletedProcess[str]) -> Any:
    """What a script has printed as JSON behind the word ANSWER, whatever else it has printed.

    :param done: of `run_in_airflow`.
    """
    assert "ANSWER" in done.stdout, done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(done.stdout.rsplit("ANSWER", 1)[1].splitlines()[0])
