"""The dbt manifest of a bundle, from which Cosmos draws the DAGs: the same project gives the same bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_DBT = "import sys; from dbt.cli.main import cli; sys.exit(cli())"
#: When and by whom it was made. Each build would be another version of every DAG.
_OF_THE_MOMENT = ("generated_at", "invocation_id", "invocation_started_at", "run_started_at", "user_id")


class DbtProjectWrong(RuntimeError):
    """dbt cannot read the project. The message is dbt's own."""


def write_manifest(project: Path, *, target: str, variables: Mapping[str, str]) -> None:
    """Parse a dbt project and write `target/manifest.json` into it, and nothing else.

    :param project: folder of the dbt project.
    :param target: target of its profiles.yml, for whose adapter it is parsed; nothing is connected to.
    :param variables: environment variables that the project reads.
    :raises DbtProjectWrong: with what dbt says.
    """
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [
                *(sys.executable, "-c", _DBT, "--quiet", "parse", "--target", target),
                *("--project-dir", str(project), "--profiles-dir", str(project)),
                *("--target-path", scratch, "--log-path", scratch),
            ],
            env={**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DbtProjectWrong(
                f"dbt cannot parse {project} for target {target}:\n{done.stdout}{done.stderr}".rstrip()
            )
        manifest = json.loads((Path(scratch) / "manifest.json").read_text(encoding="utf-8"))
    written = project / "target" / "manifest.json"
    written.parent.mkdir()
    written.write_text(json.dumps(_timeless(manifest), sort_keys=True), encoding="utf-8")


def _timeless(manifest: dict[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _OF_THE_MOMENT}
    return {**{key: _undated(value) for key, value in manifest.items()}, "metadata": metadata}


def _undated(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: 0 if key == "created_at" else _undated(value) for key, value in part.items()}
    return [_undated(value) for value in part] if isinstance(part, list) else part
