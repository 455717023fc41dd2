"""`make trino` as a person uses it: it says what to type, what it says works, and nothing outlives it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from local.cloud.trino import trino_missing
from tests.ctrl_c import children_hear_ctrl_c
from tests.parsed_project import PROJECT

pytestmark = pytest.mark.trino


class Stack:
    """One `make trino`.

    :param log: what it prints.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("wb") as out, children_hear_ctrl_c():
            self.process = subprocess.Popen(
                [sys.executable, "-u", "-m", "local.cloud", "up", "--port", "0", "--aws-port", "0"],
                cwd=PROJECT, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        self.wait_for("ends with Ctrl-C")
        self.family = psutil.Process(self.process.pid).children(recursive=True)

    @property
    def said(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str) -> None:
        while text not in self.said:
            assert self.process.poll() is None, self.said
            time.sleep(0.1)

    def exports(self) -> dict[str, str]:
        """The variables that it tells people to export."""
        lines = re.findall(r"^  export (.*)$", self.said, re.MULTILINE)
        return dict(shlex.split(line)[0].split("=", 1) for line in lines)

    def sql(self, statement: str) -> subprocess.CompletedProcess[str]:
        """The command that it tells people to type, with another statement."""
        told = re.search(r"^SQL:\n  (.*)$", self.said, re.MULTILINE)
        assert told
        *command, _ = shlex.split(told[1])
        return subprocess.run(
            [*command, "--format", "csv", statement], cwd=PROJECT, capture_output=True, text=True, check=False
        )


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    if missing := trino_missing():
        pytest.skip(missing)
    started = Stack(tmp_path / "log")
    yield started
    for process in [*started.family, psutil.Process(os.getpid())]:
        if process.pid != os.getpid() and process.is_running():
            process.kill()
    started.process.kill()
    started.process.wait()


def test_what_it_says_works_and_a_kill_leaves_nothing(stack: Stack) -> None:
    exports = stack.exports()
    schemas = stack.sql("show schemas").stdout.split()
    assert {"sf_raw", "sf_curated", "sf_ops"} <= set(schemas)
    dbt = subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), "debug", "--project-dir", "dbt", "--profiles-dir", "dbt"],
        cwd=PROJECT, env={**os.environ, **exports}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "All checks passed!" in dbt.stdout, dbt.stdout
    made = subprocess.run(
        [
            sys.executable, "-c",
            "from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook; import pyarrow as pa\n"
            "catalog = IcebergHook('iceberg_default').get_conn()\n"
            "rows = pa.table({'city': ['Zürich']})\n"
            "catalog.create_table('sf_raw.cities', rows.schema).append(rows)",
        ],
        cwd=PROJECT, env={**os.environ, **exports}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr[-3000:]
    assert stack.sql("select city from sf_raw.cities").stdout.split() == ["city", "Zürich"]
    wrong = stack.sql("select nothing")
    assert (wrong.returncode, "cannot be resolved" in wrong.stderr) == (1, True), wrong.stderr

    stack.process.kill()
    _, alive = psutil.wait_procs(stack.family, timeout=60)
    assert not alive
    with pytest.raises(requests.ConnectionError):
        requests.get(exports["AWS_ENDPOINT_URL"], timeout=5)
    assert "no Trino answers" in stack.sql("select 1").stderr


def test_ctrl_c_ends_both(stack: Stack) -> None:
    os.killpg(stack.process.pid, signal.SIGINT)
    assert stack.process.wait(60) == 0
    _, alive = psutil.wait_procs(stack.family, timeout=60)
    assert not alive
    assert "ending both" in stack.said
    assert "Traceback" not in stack.said
