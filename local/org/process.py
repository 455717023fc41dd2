"""The org's command line: serve, clock, load, stats, check.

Exit codes: 0 done, 1 the org or the file refused, 2 wrong usage, 3 no org runs there.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import requests

from local.org import timestamps
from local.org.handle import OrgHandle, OrgNotRunning, OrgRefused
from local.org.scenario import ScenarioError, load_scenario, six_hour_runs
from local.org.server import AlreadyRunning, serve

DONE, REFUSED, NOT_RUNNING = 0, 1, 3
DEFAULT_HOME = Path(".local/org")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.org",
        description="A simulated Salesforce org on this machine: real clients log in over TLS, scripts set its clock.",
        epilog="Start: python -m local.org serve   Exit codes: 0 done, 1 refused, 2 usage, 3 not running.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        if name != "check":
            added.add_argument(
                "--home", type=Path, default=DEFAULT_HOME, help="the org's folder (default: %(default)s)"
            )
        return added

    run = command("serve", "run the org of a folder until SIGTERM or Ctrl-C")
    run.add_argument(
        "--port", type=int, help="port on 127.0.0.1; 0 for any (default: the one used last in this folder)"
    )
    run.add_argument("--stop-with-input", action="store_true", help="end when standard input closes")
    clock = command("clock", "print the org's time, or set it")
    clock.add_argument("moment", nargs="?", help="the new time, e.g. 2026-01-05T06:00:00Z")
    load = command("load", "load the events of a scenario; loading the same again changes nothing")
    load.add_argument("file", type=Path, help="a JSON-lines file")
    command("stats", "print what the org holds and how much it was used, as JSON")
    check = command("check", "check a scenario without an org, and print the intervals that a replay runs")
    check.add_argument("file", type=Path, help="a JSON-lines file")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    :param arguments: the command line; that of the process by default.
    :returns: the exit code.
    """
    parser = _arguments()
    given = parser.parse_args(arguments)
    try:
        return _run(given)
    except (OrgNotRunning, requests.ConnectionError) as error:
        print(f"error: {error}")
        return NOT_RUNNING
    except (OrgRefused, ScenarioError, AlreadyRunning, ValueError, OSError) as error:
        print(f"error: {error}")
        return REFUSED


def _run(given: argparse.Namespace) -> int:
    if given.command == "serve":
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
        serve(home=given.home, port=given.port, stop_with_input=given.stop_with_input)
        return DONE
    if given.command == "check":
        _check(given.file)
        return DONE
    org = OrgHandle(given.home)
    if given.command == "clock":
        if given.moment is not None:
            org.set_clock(timestamps.moment(timestamps.parse(given.moment)))
        print(timestamps.iso(timestamps.seconds_of(org.clock)))
    elif given.command == "load":
        answer = org.load_events(given.file)
        print(f"{given.file}: {answer['read']} events read, {answer['new']} of them new")
    else:
        print(json.dumps(org.stats(), indent=1))
    return DONE


def _check(file: Path) -> None:
    scenario = load_scenario(file)
    print(f"{file}: {len(scenario.events)} events of {', '.join(scenario.objects) or 'no object'}")
    for run in six_hour_runs(scenario):
        asked = f", full refresh of {', '.join(sorted(run.full_refresh))}" if run.full_refresh else ""
        print(f"  run [{run.start:%Y-%m-%dT%H:%M}Z, {run.end:%Y-%m-%dT%H:%M}Z){asked}")
