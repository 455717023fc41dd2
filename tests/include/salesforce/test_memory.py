"""Five times the rows must not take five times the memory, from the first byte read to the last row judged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.org.handle import OrgHandle, start_org
from tests.include.salesforce.conftest import T6

ROWS = 100_000
PROJECT = Path(__file__).resolve().parents[3]

#: Reads and validates one window, then prints the rows and the peaks of the process and of Arrow's pool in MB.
SCRIPT = """
import json, resource, sys
from datetime import datetime

import pyarrow as pa
from simple_salesforce import Salesforce

from include.config.object_file import read_object_files
from include.quality.validation import validate
from include.salesforce.client import SalesforceClient
from include.salesforce.extraction import extract
from include.salesforce.http import http_session
from include.salesforce.read_plan import make_read_plan
from include.staging.manifest import Window

told = json.loads(sys.argv[1])
file = read_object_files()["user"].model_copy(update={"batch_size": 2_000, "bulk_from_rows": told["bulk_from_rows"]})
window = Window.model_validate(told["window"])
client = SalesforceClient(lambda: Salesforce(session=http_session(), **told["login"]))
plan = make_read_plan(client=client, object_file=file, run_id="run", window=window)
extraction = extract(client=client, plan=plan, object_file=file, staging_folder=told["folder"] + "/extract")
validation = validate(extraction=extraction, object_file=file, staging_folder=told["folder"] + "/validate")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)
pool = pa.default_memory_pool().max_memory() / 1024 / 1024
print(json.dumps({"rows": validation.gate().accepted, "api": plan.api, "peak": peak, "pool": pool}))
"""


@pytest.fixture(scope="module")
def large_org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrgHandle]:
    """An org with 100,000 users, ten a second, of about 300 bytes each."""
    folder = tmp_path_factory.mktemp("large_org")
    events = folder / "events.jsonl"
    with events.open("w", encoding="utf-8") as lines:
        for number in range(ROWS):
            second = number // 10
            at = f"2026-01-05T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"
            fields = {"Name": f"{number:06d} {'n' * 100}", "Division": f"{number:06d} {'d' * 70}"}
            event = {"at": at, "op": "insert", "object": "User", "Id": f"005{number:012d}AAA", "fields": fields}
            lines.write(json.dumps(event) + "\n")
    with start_org(folder / "org") as org:
        org.load_events(events)
        org.set_clock(T6)
        yield org


@pytest.mark.parametrize("api", ["rest", "bulk"])
def test_memory_does_not_grow_with_the_rows(large_org: OrgHandle, tmp_path: Path, api: str) -> None:
    measured = {}
    for end in ("2026-01-05T00:33:20Z", "2026-01-05T06:00:00Z"):
        window = {
            "start": "2026-01-05T00:00:00Z",
            "end": end,
            "kind": "manual",
            "full_refresh": False,
            "reason": "test",
        }
        told = {
            "window": window,
            "folder": str(tmp_path),
            "bulk_from_rows": 0 if api == "bulk" else 10**9,
            "login": large_org.connection()["extra"],
        }
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, json.dumps(told)],
            cwd=PROJECT,
            env={"REQUESTS_CA_BUNDLE": str(large_org.ca_bundle), "PATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["api"] == api
        measured[found["rows"]] = found
    few, many = measured[20_000], measured[ROWS]
    # Held as Arrow the 80,000 rows between the two would take 20 MB, as Python objects 100 MB. Their Ids may be held.
    assert many["pool"] - few["pool"] < 5
    assert many["peak"] - few["peak"] < 30
