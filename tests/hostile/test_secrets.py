"""Secrets that were planted in connections are in no file that real DAG runs write: every byte is looked at."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from local.org.home import Credentials
from tests.hostile.conftest import Tried

PROJECT = Path(__file__).resolve().parents[2]
#: The beginning of every signed assertion, as it is and in base64.
ASSERTION = ("eyJhbGciOi", "eyJ0eXAiOi", "ZXlKaGJHY2lP", "V5SmhiR2NpT", "leUpoYkdjaU9")


@dataclass(frozen=True)
class Runs:
    """What was run, where it wrote, and what may be nowhere."""

    root: Path
    outcomes: dict[str, str]
    forbidden: dict[str, bytes]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Refused logins and reads whose answers repeat the request, by each kind of login, and a whole run."""
    folder = tmp_path_factory.mktemp("secrets")
    root, report = folder / "root", folder / "report.json"
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("runs_with_secrets.py")), str(root), str(report)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(report.read_text(encoding="utf-8"))
    who = Credentials(**json.loads((root / "org" / "secrets.json").read_text(encoding="utf-8")))
    secrets = {
        "password": who.password,
        "security token": who.security_token,
        "consumer secret": who.consumer_secret,
        **{f"session {number}": token for number, token in enumerate(told["tokens"])},
    }
    key = (root / "org" / "connected-app.key").read_text(encoding="utf-8").splitlines()[1:-1]
    secrets |= {f"line {number} of the private key": line for number, line in enumerate(key) if len(line) > 20}
    forbidden = {f"{name}, {form}": text for name, secret in secrets.items() for form, text in forms(secret)}
    forbidden |= {f"an assertion ({text})": text.encode() for text in ASSERTION}
    return Runs(root=root, outcomes=told["outcomes"], forbidden=forbidden)


def forms(secret: str) -> Iterator[tuple[str, bytes]]:
    """A secret as it is, its second half, URL-encoded, in base64 wherever it begins in what is encoded, and as JSON."""
    raw = secret.encode()
    yield "as it is", raw
    yield "its second half", raw[len(raw) // 2 :]
    yield "URL-encoded", quote_plus(secret).encode()
    yield "as JSON", json.dumps(secret)[1:-1].encode()
    for shift in range(3):
        yield f"in base64, shifted by {shift}", base64.b64encode(b"x" * shift + raw)[4 : -4 or None]


def documents(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file below a folder but the org's own; tables and databases are unpacked as well."""
    for path in sorted(root.rglob("*")):
        if not path.is_file() or path.is_symlink() or (root / "org") in path.parents:
            continue
        content = path.read_bytes()
        yield path, content
        if path.suffix == ".parquet":
            table = pq.read_table(pa.BufferReader(content))
            yield path, json.dumps(table.to_pylist(), default=str).encode()
        elif content.startswith(b"SQLite format 3"):
            # Not only its pages: a long value is spread over several.
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                database.text_factory = bytes
                names = [
                    name.decode() for (name,) in database.execute("select name from sqlite_master where type='table'")
                ]
                for name in names:
                    for row in database.execute(f'select * from "{name}"'):
                        yield path, b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in row)


def leaks(runs: Runs) -> tuple[list[str], int]:
    """What was found where, and how many bytes were looked at."""
    found, looked = [], 0
    for path, content in documents(runs.root):
        looked += len(content)
        found += [f"{path.relative_to(runs.root)}: {name}" for name, text in runs.forbidden.items() if text in content]
    return sorted(set(found)), looked


def test_secrets_are_nowhere(runs: Runs, tried: Tried) -> None:
    states = {name: ("success" if name.endswith(": calm") else "failed") for name in runs.outcomes}
    assert runs.outcomes == states
    assert len(runs.outcomes) == 7
    found, looked = leaks(runs)
    assert found == []
    assert looked > 5_000_000
    tried("secrets, in every form", len(runs.forbidden))


def test_the_runs_were_as_talkative_as_they_can_be(runs: Runs) -> None:
    log = (runs.root / "logs" / "run.log").read_text(encoding="utf-8", errors="replace")
    assert "[debug" in log or "DEBUG" in log
    for words in (
        "CredentialsRefused: logging in: Salesforce answered invalid_grant",
        "authorization=***",
        "PermissionMissing",
    ):
        assert words in log, words
    kinds = {path.suffix for path, _ in documents(runs.root)}
    assert {".db", ".log", ".parquet", ".json"} <= kinds


@pytest.mark.parametrize("name", ["notes.txt", "deep/in/a/staged.parquet", "copy.db"])
def test_a_secret_that_is_planted_is_found(runs: Runs, name: str) -> None:
    secret = runs.forbidden["consumer secret, as it is"]
    path = runs.root / "planted" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if path.suffix == ".parquet":
            pq.write_table(pa.table({"a": [f"x{secret.decode()}y"]}), path, compression="zstd")
        elif path.suffix == ".db":
            with sqlite3.connect(path) as database:
                database.execute("create table t (a text)")
                database.execute("insert into t values (?)", ("x" * 5000 + secret.decode(),))
        else:
            path.write_bytes(b"\x00\xff" + base64.b64encode(b"abcd" + secret + b"e"))
        found, _ = leaks(runs)
        assert any(line.startswith(f"planted/{name}: consumer secret") for line in found)
    finally:
        path.unlink()
