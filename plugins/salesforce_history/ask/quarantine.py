"""The question about the quarantine: what is in it, and, if asked to, what a replay of it does."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from include.config.environment import Environment
from include.config.object_file import ObjectFile
from include.flow import Flow
from include.page.cells import as_cell, visible
from include.quality.listing import Entry, Listing, list_quarantine
from include.staging.manifest import ReplayManifest
from salesforce_history.connections import lake_catalog

FORMATS = ("table", "csv", "json")

#: Records that a table on the terminal shows; CSV and JSON give all.
SHOWN = 200
_SHOWN_RECORD = 60
_COLUMNS = ("id", "state", "reasons", "first_seen", "last_seen", "times_seen", "note", "record")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the question.

    :param parser: of the question alone.
    """
    parser.add_argument("--replay", action="store_true", help="bring in what the object file accepts by now, then list")
    parser.add_argument("--format", choices=FORMATS, default="table", help="how to list; default: table")


def answer(environment: Environment, object_file: ObjectFile, options: argparse.Namespace) -> int:
    """Replay if asked to, then list on stdout; what a replay did goes to stderr, so that CSV and JSON stay clean.

    :param environment: whose lake.
    :param object_file: of the object.
    :param options: as `add_options` has them.
    :return: 0.
    """
    catalog = lake_catalog(environment.iceberg_conn_id)
    if options.replay:
        flow = Flow(object_file=object_file, environment=environment, catalog=catalog)
        print(replayed(flow.replay_quarantine(), object_file), file=sys.stderr)  # noqa: T201  (it is a command)
    listing = list_quarantine(catalog=catalog, object_file=object_file, environment=environment)
    if options.format == "csv":
        _write_csv(listing)
    elif options.format == "json":
        print(json.dumps([_plain(entry) for entry in listing.entries], ensure_ascii=False, indent=2))  # noqa: T201
    else:
        _write_table(listing)
    return 0


def replayed(manifest: ReplayManifest, object_file: ObjectFile) -> str:
    """What a replay did, and what comes next, in words.

    :param manifest: what it did.
    :param object_file: of the object.
    """
    if not manifest.replayed:
        return f"{manifest.table}: nothing to replay."
    said = (
        f"{manifest.table}: {manifest.replayed:,} record(s) of {manifest.batches:,} run(s) replayed, "
        f"{manifest.logged:,} observation(s) logged."
    )
    if not manifest.logged:
        return f"{said} The log had them already, so the history stays as it is."
    return (
        f"{said} The next run of {object_file.dag_id} publishes them in {object_file.dimension}; trigger one to have "
        "them now (on a laptop: make run KEEP=1 SCENARIO=… with later events, or the form of make up)."
    )


def _write_table(listing: Listing) -> None:
    # Where output goes to a file or a pipe nothing says how wide it is.
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False, markup=False)
    if not listing.entries:
        console.print(f"{listing.table}: no record has been refused.")
        return
    table = Table(title=listing.table, title_justify="left", header_style="bold")
    for name in ("record", "state", "reasons", "first seen (UTC)", "last seen (UTC)", "times", "note"):
        table.add_column(name, overflow="fold", justify="right" if name == "times" else "left")
    for entry in listing.entries[:SHOWN]:
        cells = (
            entry.identity or f"{entry.record[:_SHOWN_RECORD]}…",
            entry.state,
            entry.reasons,
            f"{entry.first_seen:%Y-%m-%d %H:%M}",
            f"{entry.last_seen:%Y-%m-%d %H:%M}",
            f"{entry.times_seen:,}",
            entry.note,
        )
        table.add_row(*(Text(visible(cell)) for cell in cells))
    console.print(table)
    if len(listing.entries) > SHOWN:
        console.print(f"{SHOWN:,} of {len(listing.entries):,} records; --format csv gives all")
    console.print(_counted("records", listing.states))
    console.print(_counted("reasons of those not replayed", listing.reasons))


def _counted(what: str, counts: Mapping[Any, int]) -> str:
    return f"{what}: " + (", ".join(f"{visible(name)} {count:,}" for name, count in counts.items()) or "none")


def _write_csv(listing: Listing) -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in listing.entries:
        writer.writerow({name: as_cell(value) for name, value in _plain(entry).items()})


def _plain(entry: Entry) -> dict[str, object]:
    values = asdict(entry) | {
        "id": entry.identity,
        "first_seen": entry.first_seen.isoformat(),
        "last_seen": entry.last_seen.isoformat(),
    }
    return {name: values[name] for name in _COLUMNS}
