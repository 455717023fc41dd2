"""A dbt build in a process of its own, with the dbt project parsed before."""

from __future__ import annotations

from pathlib import Path

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumaro_encoder, extended_mashumuro_decoder

from local.faults.killing import AtCommit, Tell, changes_told

_PROJECT = Path(__file__).resolve().parents[2] / "dbt"


def write_parsed(manifest: Manifest, path: Path) -> None:
    """Write a parsed project, as dbt keeps it itself.

    :param manifest: the project.
    :param path: of the file.
    """
    path.write_bytes(manifest.to_msgpack(extended_mashumaro_encoder))


def live_build(tell: Tell, parsed: Path, target: Path, dies: AtCommit | None) -> None:
    """Build the history of the users: views, versions, dimension, snapshot, and the tests of them.

    :param tell: told `build`, each change of the catalog, and `end`.
    :param parsed: file that `write_parsed` has written.
    :param target: folder for dbt's own output.
    :param dies: a change of the catalog that is its last moment; None: it is not killed from inside.
    """
    manifest = Manifest.from_msgpack(parsed.read_bytes(), decoder=extended_mashumuro_decoder)
    with changes_told(tell, dies):
        tell("build")
        result = dbtRunner(manifest=manifest).invoke(
            [
                "build",
                "--select", "tag:sf_user",
                "--exclude", "resource_type:unit_test", "sf_raw.*",
                "--project-dir", str(_PROJECT),
                "--profiles-dir", str(_PROJECT),
                "--target", "local",
                "--target-path", str(target),
                "--log-path", str(target / "logs"),
                "--quiet",
            ]
        )  # fmt: skip
        if not result.success:
            raise RuntimeError(f"dbt failed: {result.exception or [one.message for one in result.result.results]}")
    tell("end")
