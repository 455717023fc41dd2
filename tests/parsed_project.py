"""The dbt project as dbt has parsed it: a second's work that every suite which runs dbt shares."""

from __future__ import annotations

from collections.abc import Mapping
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
    return parse(tmp_path_factory.mktemp("parse"), project, target="local", variables={})


def parse(folder: Path, project: Path, *, target: str, variables: Mapping[str, str]) -> Manifest:
    """Parse the project, away from its own target folder.

    :param folder: for dbt's files.
    :param project: the dbt project's folder.
    :param target: of dbt/profiles.yml.
    :param variables: environment variables.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SF_HISTORY_LAKE": str(folder), **variables}.items():
            patch.setenv(name, value)
        result = dbtRunner().invoke(
            [
                "parse",
                "--project-dir", str(project),
                "--profiles-dir", str(project),
                "--target", target,
                "--target-path", str(folder / "target"),
                "--log-path", str(folder / "logs"),
                "--quiet",
            ]
        )  # fmt: skip
    assert isinstance(result.result, Manifest), result.exception
    return result.result
