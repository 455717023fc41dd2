"""Processes that die: a dbt build with the project parsed before, and a run that dies in a chosen call."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Literal

from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest
from dbt.parser.manifest import extended_mashumaro_encoder, extended_mashumuro_decoder

from include.salesforce.client import SalesforceClient
from include.staging import store
from local.faults.killing import AtCommit, Run, Tell, changes_told, live_run

_PROJECT = Path(__file__).resolve().parents[2] / "dbt"


def write_parsed(manifest: Manifest, path: Path) -> None:
    """Write a parsed project, as dbt keeps it itself.

    :param manifest: the project.
    :param path: of the file.
    """
    path.write_bytes(manifest.to_msgpack(extended_mashumaro_encoder))


def live_build(tell: Tell, parsed: Path, target: Path, flags: tuple[str, ...], dies: AtCommit | None) -> None:
    """Build the history of the users: views, versions, dimension, snapshot, and the tests of them.

    :param tell: told `build`, each change of the catalog, and `end`.
    :param parsed: file that `write_parsed` has written.
    :param target: folder for dbt's own output.
    :param flags: of dbt, besides.
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
                *flags,
            ]
        )  # fmt: skip
        if not result.success:
            raise RuntimeError(f"dbt failed: {result.exception or [one.message for one in result.result.results]}")
    tell("end")


#: Calls that a run can die in: it writes a small text (a job's intent, its id, the manifest), or deletes a Bulk job.
Call = Literal["write_text", "delete"]
_OWNERS: dict[Call, Any] = {"write_text": store, "delete": SalesforceClient}


def live_run_dying_in(tell: Tell, run: Run, call: Call, nth: int, side: Literal["before", "after"]) -> None:
    """A run that dies right before or right after one of its calls.

    :param tell: see `live_run`.
    :param run: which one.
    :param call: which function.
    :param nth: which of the calls of it, from 1.
    :param side: of the call.
    """
    plain, made = getattr(_OWNERS[call], call), 0

    def deadly(*arguments: Any, **named: Any) -> Any:
        nonlocal made
        made += 1
        number = made
        if (number, side) == (nth, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*arguments, **named)
        if (number, side) == (nth, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(_OWNERS[call], call, deadly)
    live_run(tell, run, None)
