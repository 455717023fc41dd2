"""Two processes that upsert into one lake at the same time, each with its own catalog."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

_PROGRAM = """
import sys
from pathlib import Path
from pyiceberg.catalog.sql import SqlCatalog
from include.config.environment import current_environment
from include.config.object_file import read_object_files
from include.lake.upsert import upsert
from include.staging.manifest import ValidationManifest
lake, *manifests = map(Path, sys.argv[1:])
catalog = SqlCatalog("iceberg_default", uri=f"sqlite:///{lake}/catalog.db", warehouse=f"file://{lake}/warehouse")
environment = current_environment({"SF_HISTORY_LAKE": str(lake)})
print("ready", flush=True)
sys.stdin.readline()
for path in manifests:
    done = upsert(catalog, read_object_files()["user"], environment,
                  ValidationManifest.model_validate_json(path.read_text()), attempts=30)
    print(done.attempts, flush=True)
"""


def test_two_processes_lose_nothing_and_double_nothing(lake: Any, tmp_path: Path) -> None:
    lake.run([lake.record(f"{number:02d}", 1) for number in range(20)], end=6)
    processes = []
    for writer in (1, 2):
        paths = []
        for turn in range(6):
            records = [lake.record(f"{number:02d}", 7 + turn, division=f"{turn}") for number in range(20)]
            records.append(lake.record(f"new {writer} {turn}", 7 + turn))
            path = tmp_path / f"{writer}-{turn}.json"
            path.write_text(lake.staged(records, start=0, end=12 + turn, run_id=f"w{writer} t{turn}").model_dump_json())
            paths.append(str(path))
        command = [sys.executable, "-c", _PROGRAM, str(lake.folder), *paths]
        root = Path(__file__).resolve().parents[3]
        processes.append(
            subprocess.Popen(
                command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    attempts: list[int] = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        attempts.extend(int(line) for line in out.split())
    log = lake.rows("changes")
    seen = [(row["id"], row["_window_end"], row["_row_hash"]) for row in log]
    assert len(seen) == len(set(seen)) == 20 + 20 * 6 + 12
    mirror = lake.mirror()
    assert len(mirror) == 32
    assert {row["division"] for key, row in mirror.items() if not key.startswith("new")} == {"5"}
    assert len(attempts) == 12
