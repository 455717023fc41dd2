"""The command line: `python -m deploy {up,plan,destroy,verify,ddl}`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deploy.problem import DeployFailed

_INTERRUPTED = 130
_GOES_ON = "What AWS is doing goes on. Run the same command again: it goes on where this one ended."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: the command line; that of the process by default.
    :return: exit code: 0, 1 (failed, or a check has not passed), 2 (wrong usage) or 130 (interrupted).
    """
    given = _parser().parse_args(arguments)
    terminal = sys.stdout.isatty()
    # A line that is too long is the terminal's to wrap: a URL stays one.
    console = Console(highlight=False, soft_wrap=True, width=None if terminal else 140)
    try:
        return _run(given, console)
    except DeployFailed as failed:
        print(f"\n{failed.what}\n{failed.remedy}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupted:
        print(f"\nInterrupted. {str(interrupted) or _GOES_ON}", file=sys.stderr)
        return _INTERRUPTED


def _run(given: argparse.Namespace, console: Console) -> int:
    # Each command imports what it needs: the help is to come at once.
    if given.command in ("up", "plan"):
        from deploy.options import Options  # noqa: PLC0415
        from deploy.up import deploy  # noqa: PLC0415

        options = Options(
            environment=given.environment,
            yes=getattr(given, "yes", False),
            credentials=given.credentials,
            region=given.region,
            prefix=given.bucket_prefix,
            parameters=dict(given.parameter),
            bundle=given.bundle,
            templates=given.templates,
            run=not getattr(given, "no_run", False),
            pause=given.pause,
            patience=getattr(given, "patience", 0.0),
        )
        deploy(options, console, only_plan=given.command == "plan")
        return 0
    if given.command == "destroy":
        from deploy.destroy import destroy  # noqa: PLC0415

        destroy(
            console,
            environment=given.environment,
            region=given.region,
            prefix=given.bucket_prefix,
            templates=given.templates,
            yes=given.yes,
            drop_data=given.drop_data,
            really=given.really,
            pause=given.pause,
        )
        return 0
    if given.command == "verify":
        from deploy.verify import verify  # noqa: PLC0415

        passed = verify(
            console,
            environment=given.environment,
            region=given.region,
            prefix=given.bucket_prefix,
            templates=given.templates,
            salesforce=given.salesforce,
        )
        return 0 if passed else 1
    from deploy.ddl import print_ddl  # noqa: PLC0415

    print_ddl(environment=given.environment, prefix=given.bucket_prefix, templates=given.templates)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy",
        description="The history of Salesforce data on MWAA: deploy it, check it, take it down. See docs/deploy.md.",
        epilog="Every command can be interrupted and run again. AWS credentials are those of the AWS command line.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="build, show the plan, ask, apply, trigger the pipeline (make deploy)")
    plan = commands.add_parser("plan", help="show what `up` would do, and do nothing (make plan)")
    destroy = commands.add_parser(
        "destroy", help="delete Airflow and its network; data only if told twice (make destroy)"
    )
    verify = commands.add_parser("verify", help="check a live environment end to end (make verify)")
    ddl = commands.add_parser("ddl", help="print the DDL of every table, in Athena's spelling (make ddl)")
    for each in (up, plan, destroy, verify, ddl):
        each.add_argument("--environment", required=True, metavar="ENV", help="development, staging or production")
        each.add_argument(
            "--bucket-prefix", metavar="PREFIX", help="beginning of the buckets' names (default: the parameters' file)"
        )
        each.add_argument(
            "--templates", type=Path, metavar="FOLDER", help="CloudFormation templates (default: deploy/cloudformation)"
        )
    for each in (up, plan, destroy, verify):
        each.add_argument("--region", help="AWS region (default: AWS_REGION, the profile's, us-east-1)")
    for each in (up, plan, destroy):
        each.add_argument(
            "--pause", type=float, default=5.0, metavar="SECONDS", help="between two looks at what is waited for (5)"
        )
    for each in (up, plan):
        each.add_argument(
            "--credentials",
            type=Path,
            metavar="FILE",
            help="Salesforce login as JSON, mode 0600 (default: it is asked for)",
        )
        each.add_argument(
            "--parameter",
            action="append",
            default=[],
            type=_setting,
            metavar="NAME=VALUE",
            help="a template's parameter",
        )
        each.add_argument(
            "--bundle", type=Path, metavar="FOLDER", help="a bundle that is built already (default: build it)"
        )
    up.add_argument("--yes", action="store_true", help="apply without asking")
    up.add_argument(
        "--no-run", action="store_true", help="leave the pipeline as it is: do not switch it on or trigger it"
    )
    up.add_argument(
        "--patience", type=float, default=600.0, metavar="SECONDS", help="that Airflow is given to parse the DAGs (600)"
    )
    destroy.add_argument("--yes", action="store_true", help="without asking")
    destroy.add_argument("--drop-data", action="store_true", help="buckets, databases, key and secret as well")
    destroy.add_argument(
        "--really", metavar="ENV", help="with --drop-data and without a terminal: the environment's name again"
    )
    verify.add_argument("--salesforce", action="store_true", help="count the users in Salesforce too (one query)")
    return parser


def _setting(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
