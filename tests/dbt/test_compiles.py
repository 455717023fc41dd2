"""The project parses and compiles for every target without reaching any engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
#: Functions that only one side of the dispatch may use.
DUCKDB_ONLY = re.compile(r"list_reduce|make_timestamp|epoch_us|strftime|generate_subscripts|lambda ")
TRINO_ONLY = re.compile(r"reduce\(\s*array_agg|to_hex|from_base|date_diff|with ordinality|element_at")


def compile_project(target: str, folder: Path, project: Path = PROJECT / "dbt") -> Path:
    """Compile with a dbt process of its own, whose engine's address nobody answers; returns the target folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SF_HISTORY_", "AWS_"))}
    environment |= {
        "SF_HISTORY_LAKE": str(folder / "lake"),
        "SF_HISTORY_TRINO_PORT": "1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "PYTHONPATH": str(PROJECT),
    }
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("dbt")), "compile",
            "--no-introspect", "--no-populate-cache",
            "--project-dir", str(project), "--profiles-dir", str(project), "--target", target,
            "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
        ],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "target"


def compiled_models(target_path: Path) -> dict[str, str]:
    manifest = json.loads((target_path / "manifest.json").read_text())
    return {
        node["name"]: node["compiled_code"] for node in manifest["nodes"].values() if node["resource_type"] == "model"
    }


@pytest.mark.parametrize(
    ("target", "foreign", "native"),
    [("local", TRINO_ONLY, DUCKDB_ONLY), ("trino", DUCKDB_ONLY, TRINO_ONLY), ("athena", DUCKDB_ONLY, TRINO_ONLY)],
)
def test_every_model_compiles_to_the_dialect_of_its_target(tmp_path, target, foreign, native):
    models = compiled_models(compile_project(target, tmp_path))
    assert len(models) == 12
    strangers = {name: foreign.findall(sql) for name, sql in models.items() if foreign.search(sql)}
    assert not strangers
    assert native.search(models["int_sf_user_versions"])
