"""The org as a process: its command line, its folder, its restarts."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.org.handle import OrgHandle, OrgNotRunning, start_org
from local.org.ids import numbered
from local.org.process import main
from tests.local.org.conftest import log_in, write_lines

EVENT = {
    "at": "2026-01-05T07:00:00Z",
    "op": "insert",
    "object": "User",
    "Id": numbered("005", 1),
    "fields": {"Name": "A"},
}
REFRESH = {"at": "2026-01-05T13:00:00Z", "op": "refresh", "object": "User"}


def test_the_command_line(org: OrgHandle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(org.home.root)
    file = str(write_lines(tmp_path / "s.jsonl", [EVENT, REFRESH]))
    assert main(["check", file]) == 0
    assert main(["load", file, "--home", home]) == 0
    assert main(["load", file, "--home", home]) == 0
    assert main(["clock", "2026-01-05T08:00:00+00:00", "--home", home]) == 0
    assert main(["clock", "--home", home]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{file}: 2 events of User",
        "  run [2026-01-05T06:00Z, 2026-01-05T12:00Z)",
        "  run [2026-01-05T12:00Z, 2026-01-05T18:00Z), full refresh of User",
        f"{file}: 2 events read, 1 of them new",
        f"{file}: 2 events read, 0 of them new",
        "2026-01-05T08:00:00Z",
        "2026-01-05T08:00:00Z",
    ]
    assert main(["stats", "--home", home]) == 0
    assert json.loads(capsys.readouterr().out)["objects"]["User"]["records"] == 1


def test_what_is_refused_has_an_exit_code(org: OrgHandle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = str(org.home.root)
    wrong = str(write_lines(tmp_path / "wrong.jsonl", [EVENT, {**EVENT, "op": "x"}]))
    assert main(["check", wrong]) == 1
    assert main(["load", wrong, "--home", home]) == 1
    assert capsys.readouterr().out.count("line 2: op: 'x' is unknown") == 2
    assert main(["check", str(tmp_path / "none.jsonl")]) == 1
    assert main(["clock", "tomorrow", "--home", home]) == 1
    assert "zone" in capsys.readouterr().out
    assert main(["clock", "--home", str(tmp_path)]) == 3
    assert "python -m local.org serve" in capsys.readouterr().out
    assert main(["serve", "--home", home]) == 1
    assert "already" in capsys.readouterr().out
    for arguments in ([], ["dance"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    for command in ("serve", "clock", "load", "stats", "check"):
        assert command in capsys.readouterr().out or command != "serve"


def test_a_restarted_org_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with start_org(home) as first:
        first.load_events(write_lines(tmp_path / "s.jsonl", [EVENT]))
        first.set_clock(datetime(2026, 1, 5, 8, tzinfo=UTC))
        first.change_schema("hide", "User", {"name": "Division"})
        client = log_in(first)
        client.query("SELECT count() FROM User")
        job = client.bulk2.User._client.create_job("query", "SELECT Id FROM User")
        client.bulk2.User._client.wait_for_job(job["id"], True, 0.01)
        used = first.stats()["api"]["used"]
        kept, bundle = first.credentials, first.ca_bundle.read_bytes()
        port = int(first.info["port"])
    with pytest.raises(OrgNotRunning, match="no org answers"):
        first.stats()
    with start_org(home, port=port) as again:
        assert again.credentials == kept
        assert again.ca_bundle.read_bytes() == bundle
        assert again.clock == datetime(2026, 1, 5, 8, tzinfo=UTC)
        assert again.stats()["api"]["used"] == used
        assert client.query("SELECT Id FROM User")["totalSize"] == 1, "the session is still open"
        assert client.bulk2.User._client.get_query_results(job["id"])["number_of_records"] == 1
        assert "Division" not in {field["name"] for field in client.User.describe()["fields"]}


def test_the_folder_is_its_owners_alone(org: OrgHandle) -> None:
    assert stat.S_IMODE(org.home.root.stat().st_mode) & 0o077 == 0
    for path in (org.home.secrets, org.home.private_key, org.home.app_key, org.home.info, org.home.database):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    bundle = org.ca_bundle.read_text()
    assert bundle.rstrip().endswith(org.home.authority.read_text().rstrip())
    assert bundle.count("BEGIN CERTIFICATE") > 50


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with start_org(tmp_path) as org:
        pid = int(org.info["pid"])
        client = log_in(org)
        client.query("SELECT count() FROM User")
        os.kill(pid, number)
        wait_until_gone(org)
    with start_org(tmp_path) as again:
        assert again.stats()["api"]["used"] == 1


def wait_until_gone(org: OrgHandle) -> None:
    for _ in range(400):
        try:
            org.stats()
        except OrgNotRunning:
            return
        time.sleep(0.05)
    raise AssertionError("the org still answers 20 s after the signal")


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    script = (
        "import os\nfrom local.org.handle import start_org\n"
        f"with start_org({str(tmp_path)!r}) as org:\n    print(org.info['pid'], flush=True)\n    os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=root, check=False, capture_output=True, timeout=60)
    wait_until_gone(OrgHandle(tmp_path))


def test_an_org_that_cannot_start_says_why(org: OrgHandle, tmp_path: Path) -> None:
    with pytest.raises(OrgNotRunning, match="in use"), start_org(tmp_path, port=int(org.info["port"])):
        pass
