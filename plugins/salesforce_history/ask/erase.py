"""The command that makes the lake forget people: it asks before it begins, and says what was removed where."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.flow import Flow
from include.lake.erased import InvalidIds, canonical_ids
from include.lake.erasure_report import ErasureContended, ErasureReport, UnknownOrg
from include.lake.expiry import HistoryHeld
from include.lake.watermark import ForeignOrg, read_lake_state
from salesforce_history.connections import lake_catalog, salesforce_client

if TYPE_CHECKING:
    from argparse import _SubParsersAction

#: Why it may be refused; each message says what to do.
ERASE_REFUSED = (InvalidIds, HistoryHeld, UnknownOrg, ForeignOrg, ErasureContended)

_WIDTH = 140
_NOT_COVERED = (
    "task logs, in which errors may have named the Id; Airflow's database, which keeps the Param erase of a run until "
    "that run is deleted; backups; earlier versions in a bucket with versioning; columns of other objects that hold "
    "the Id (an Account's owner); Salesforce itself"
)


def add_erase(questions: _SubParsersAction[Any]) -> None:
    """Add the command.

    :param questions: of the parser.
    """
    erase = questions.add_parser("erase", help="forget people for good: log, mirror, history, quarantine, staged files")
    erase.add_argument("object", help="name of an object file, for example user")
    erase.add_argument("ids", nargs="+", metavar="ID", help="Salesforce Id, 15 or 18 characters")
    erase.add_argument("--yes", action="store_true", help="do not ask")
    erase.add_argument(
        "--alone", action="store_true", help="nobody else writes to the lake now: remove dbt's left-over files as well"
    )


def answer_erase(options: argparse.Namespace, environment: Environment, object_file: ObjectFile) -> int:
    """Erase, after having asked.

    :param options: what was given.
    :return: 0; 1 if the person at the terminal thought better of it, or a run holds the erasure up.
    """
    ids = canonical_ids(options.ids)
    if not (options.yes or _confirmed(len(ids), object_file)):
        print("Nothing was touched.", file=sys.stderr)  # noqa: T201  (it is a command)
        return 1
    catalog = lake_catalog(environment.iceberg_conn_id)
    flow = Flow(object_file=object_file, environment=environment, catalog=catalog)
    org_id = read_lake_state(catalog, flow.tables).org_id or salesforce_client(environment).org_id
    progress = Console(stderr=True, highlight=False)
    report = flow.erase(
        ids,
        run_id=f"command__{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        org_id=org_id,
        alone=options.alone,
        on_step=lambda step: progress.print(f"  {step}", style="dim"),
    )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    render(report, environment, console)
    return 1 if report.held_up else 0


def _confirmed(count: int, object_file: ObjectFile) -> bool:
    whom = f"{count} {object_file.object} record{'' if count == 1 else 's'}"
    try:
        answer = input(f"Erase {whom} with all history, for good? They will never come back. [y/N] ")
    except EOFError:
        print("\nNobody is there to confirm it: give --yes (make: YES=1).", file=sys.stderr)  # noqa: T201
        return False
    return answer.strip().lower() in ("y", "yes")


def render(report: ErasureReport, environment: Environment, console: Console) -> None:
    """Print what was removed where, without naming anybody.

    :param report: of the erasure.
    :param environment: names the register.
    :param console: where to.
    """
    table = Table(title=f"Erased: {len(report.digests)} of {report.object}", title_justify="left", header_style="bold")
    table.add_column("from")
    for name in ("rows removed", "old snapshots expired", "files deleted"):
        table.add_column(name, justify="right")
    for place, rows in report.removed.items():
        gone = report.expired.get(place)
        table.add_row(
            place, f"{rows.total():,}", *(f"{n:,}" for n in (gone.snapshots, gone.files)) if gone else ("–", "–")
        )
    console.print(table)
    if report.unfinished:
        console.print(
            f"{len(report.unfinished)} of them had been begun before and not finished; they are finished now."
        )
    if report.unknown:
        console.print(
            f"Of {len(report.unknown)} of them nothing was found. They are recorded all the same: they never come in."
        )
    console.print(f"Recorded in {environment.operations_namespace}.erasures, by digest:")
    for digest in report.digests:
        console.print(f"  {digest}")
    if report.held_up:
        console.print(report.held_up, style="bold")
    console.print(f"Not covered: {_NOT_COVERED}. See docs/erasure.md.")
