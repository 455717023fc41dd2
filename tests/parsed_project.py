"""The dbt project as dbt has parsed it: a second's work that every suite which runs dbt shares."""

from __future__ import annotations

from pathlib import Path

import pytest
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

PROJECT = Path(__file__).resolve().parents[1]


def parse_project(tmp_path_factory: pytest.TempPathFactory, project: Path = PROJECT / "dbt") -> Manifest:
    """Parse the project for the laptop's target, away from its own target folder.

    :param tmp_path_factory: pytest's.
    :param project: the dbt project's folder.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SF_HISTORY_LAKE", str(tmp_path_factory.mktemp("parse")))
        result = dbtRunner().invoke(
            [
                "parse",
                "--project-dir", str(project),
                "--profiles-dir", str(project),
                "--target", "local",
                "--target-path", str(tmp_path_factory.mktemp("target")),
                "--log-path", str(tmp_path_factory.mktemp("logs")),
                "--quiet",
            ]
        )  # fmt: skip
    assert isinstance(result.result, Manifest), result.exception
    return result.result
