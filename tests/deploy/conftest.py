"""An AWS, a small bundle, and the deploy command as people run it: at a terminal where it asks, else without one."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import boto3
import pytest
import requests
from botocore.config import Config

from deploy import account
from deploy.__main__ import main
from local.cloud.aws import Aws, start_aws
from tests.ctrl_c import children_hear_ctrl_c

PROJECT = Path(__file__).resolve().parents[2]
LOGIN = {
    "username": "ada@example.com",
    "password": "planted-password",
    "security_token": "planted-token",
    "domain": "login.salesforce.com",
}
SECRET = "salesforce/development/credentials"
FOUNDATION = "sf-history-development-foundation"
STARTUP = "export SF_HISTORY_ENV=development\n"
PLANTED = ("planted-password", "planted-token", "planted-secret")


@dataclass
class Said:
    """How a command ended.

    :param code: its exit code.
    :param text: everything that it printed.
    """

    code: int
    text: str


@dataclass
class Scene:
    """One AWS, one bundle, and the command on them.

    :param aws: the simulated AWS.
    :param folder: of the test.
    :param outputs: everything that any command printed.
    """

    aws: Aws
    folder: Path
    outputs: list[str] = field(default_factory=list)

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def login(self) -> Path:
        return self.folder / "login.json"

    def stacks(self) -> dict[str, str]:
        """Name → status of the stacks that there are."""
        found = self.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack["StackStatus"] for stack in found}

    def secret(self) -> Any:
        """The stored login."""
        return json.loads(self.client("secretsmanager").get_secret_value(SecretId=SECRET)["SecretString"])

    def variables(self) -> dict[str, str]:
        return {**os.environ, **self.aws.variables(), "PYTHONPATH": str(PROJECT)}

    def arguments(self, command: str, *more: str) -> list[str]:
        common = ["--environment", "development"]
        pause = ["--pause", "0.02"] if command in ("up", "plan", "destroy") else []
        bundle = ["--bundle", str(self.bundle)] if command in ("up", "plan") else []
        return [sys.executable, "-m", "deploy", command, *common, *pause, *bundle, *more]

    def run(self, command: str, *more: str) -> Said:
        """Run it where nobody sits at a terminal; in this process, which has imported everything already."""
        text = io.StringIO()
        with Path(os.devnull).open() as nobody, redirect_stdout(text), redirect_stderr(text), _standard_input(nobody):
            code = main(self.arguments(command, *more)[3:])
        self.outputs.append(text.getvalue())
        return Said(code, text.getvalue())

    def start(self, command: str, *more: str) -> subprocess.Popen[str]:
        """Start it, and let it run."""
        with children_hear_ctrl_c():
            return subprocess.Popen(
                self.arguments(command, *more),
                cwd=PROJECT,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def read_until(self, process: subprocess.Popen[str], text: str) -> None:
        """Read what a started command prints, up to a line with that text."""
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            self.outputs.append(line)
            if text in line:
                return
        raise AssertionError(f"it ended without {text!r}:\n{seen}")

    def read_rest(self, process: subprocess.Popen[str]) -> Said:
        """Read the rest of what a started command prints."""
        said, _ = process.communicate(timeout=120)
        self.outputs.append(said)
        return Said(process.returncode, said)

    def at_terminal(self, command: str, *more: str, answers: list[tuple[str, str]]) -> Said:
        """Run it at a terminal, and answer what it asks: (text that is waited for, what is typed)."""
        ours, theirs = pty.openpty()
        with children_hear_ctrl_c():
            process = subprocess.Popen(
                self.arguments(command, *more),
                cwd=PROJECT,
                env={**self.variables(), "TERM": "dumb", "COLUMNS": "140"},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
                # Its own terminal, so that Ctrl-C is one; a system call, which no lock of a thread can hold up.
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
            )
        os.close(theirs)
        read, waiting, until = "", list(answers), time.monotonic() + 120
        from_here = 0
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    read += os.read(ours, 65536).decode("utf-8", "replace")
                except OSError:
                    break
            if waiting and (at := read.find(waiting[0][0], from_here)) >= 0:
                from_here = at + len(waiting[0][0])
                os.write(ours, (waiting.pop(0)[1] + "\n").encode())
        else:
            process.kill()
        os.close(ours)
        self.outputs.append(read)
        assert not waiting, f"it never asked {waiting[0][0]!r}:\n{read}"
        return Said(process.wait(30), read)

    def faults(self, **wanted: Any) -> None:
        """Have the simulated AWS fail: see local/cloud/cloudformation.py."""
        requests.post(f"{self.aws.endpoint}/stand-in/faults", json=wanted, timeout=30).raise_for_status()

    def client(self, service: str) -> Any:
        make: Any = boto3.client
        return make(
            service,
            endpoint_url=self.aws.endpoint,
            region_name="us-east-1",
            aws_access_key_id="stand-in",
            aws_secret_access_key="stand-in",
            config=Config(inject_host_prefix=False),
        )


@contextmanager
def _standard_input(given: TextIO) -> Iterator[None]:
    usual, sys.stdin = sys.stdin, given
    try:
        yield
    finally:
        sys.stdin = usual


def write_bundle(folder: Path) -> None:
    """What a bundle is made of, as little as will do."""
    (folder / "dags" / "include" / "objects").mkdir(parents=True)
    (folder / "dags" / "sf_object_pipelines.py").write_text("first\n", encoding="utf-8")
    (folder / "dags" / "include" / "objects" / "user.yml").write_text("object: User\n", encoding="utf-8")
    (folder / "startup.sh").write_text(STARTUP, encoding="utf-8")
    for name in ("plugins.zip", "requirements.txt"):
        (folder / name).write_text(f"{name}, first\n", encoding="utf-8")


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """One for all tests; `emptied` makes it a new account."""
    with start_aws() as running:
        yield running


def emptied(aws: Aws) -> Aws:
    """The same AWS with nothing in it, and nothing to go wrong."""
    requests.post(f"{aws.endpoint}/moto-api/reset", timeout=30).raise_for_status()
    requests.post(f"{aws.endpoint}/stand-in/faults", json={"empty": True}, timeout=30).raise_for_status()
    return aws


@pytest.fixture
def scene(aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """An empty account. Whatever a command prints in it holds no secret."""
    for name, value in emptied(aws).variables().items():
        monkeypatch.setenv(name, value)
    account._client.cache_clear()
    made = Scene(aws, tmp_path)
    write_bundle(made.bundle)
    made.login.write_text(json.dumps(LOGIN), encoding="utf-8")
    made.login.chmod(0o600)
    yield made
    printed = "".join(made.outputs)
    assert made.outputs, "nothing was run"
    assert not [secret for secret in PLANTED if secret in printed]


@pytest.fixture
def deployed(scene: Scene) -> Scene:
    """An account with development in it."""
    done = scene.run("up", "--yes", "--credentials", str(scene.login))
    assert done.code == 0, done.text
    return scene
