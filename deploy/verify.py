"""`deploy verify`: is what was deployed at work? A table of checks, each with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.account import Account
from deploy.check import Check, Verdict
from deploy.checks_of_airflow import airflow_checks
from deploy.checks_of_aws import aws_checks
from deploy.checks_of_history import history_checks
from deploy.lake import open_lake
from deploy.problem import DeployFailed, explained
from deploy.target import find_target, greet

_MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "failed": "[red]✗[/]"}


def verify(
    console: Console,
    *,
    environment: str,
    region: str | None,
    prefix: str | None,
    templates: Path | None,
    salesforce: bool,
) -> bool:
    """Check a live environment end to end. Nothing is changed.

    :param console: what people see.
    :param environment: development, staging or production.
    :param region: AWS region.
    :param prefix: beginning of the buckets' names.
    :param templates: folder whose parameters/ has the prefix; None: this project's.
    :param salesforce: count the users in Salesforce as well.
    :return: whether no check has failed.
    """
    target = find_target(environment=environment, region=region, prefix=prefix, templates=templates)
    names, account = target.names, target.account
    greet(console, names, account)
    secret = target.chosen.get("ExistingSalesforceSecretArn") or names.secret
    own_network = bool(target.chosen.get("SubnetIds"))
    groups: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("stacks and alarms", lambda: aws_checks(account, names, secret=secret, own_network=own_network)),
        ("Airflow", lambda: airflow_checks(account, names)),
        ("history", lambda: history_checks(open_lake(account, names), names, _count(account, secret, salesforce))),
    ]
    checks = [check for what, group in groups for check in _guarded(what, group)]
    console.print(_table(checks))
    failed = [check for check in checks if check.verdict == "failed"]
    for check in checks:
        if check.verdict != "ok":
            console.print(f"{_MARKS[check.verdict]} [bold]{escape(check.name)}[/]: {escape(check.remedy)}")
    count = f"{len(checks) - len(failed)} of {len(checks)} checks hold"
    console.print(f"[red]✗[/] {environment}: {count}" if failed else f"[green]✓[/] {environment}: {count}")
    return not failed


def _guarded(what: str, group: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """A group's checks; where it cannot be looked at, that is a failed check, and the others go on."""
    try:
        with explained(f"looking at {what}"):
            yield from group()
    except DeployFailed as failed:
        yield Check(what, "failed", failed.what, failed.remedy)


def _count(account: Account, secret: str, wanted: bool) -> Callable[[], int] | None:
    if not wanted:
        return None
    from deploy.count_in_salesforce import count_users  # noqa: PLC0415 only who asks waits for its imports

    return lambda: count_users(account, secret)


def _table(checks: list[Check]) -> Table:
    table = Table(header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("check", no_wrap=True)
    table.add_column("")
    table.add_column("found")
    for check in checks:
        verdict: Verdict = check.verdict
        table.add_row(escape(check.name), _MARKS[verdict], escape(check.found))
    return table
