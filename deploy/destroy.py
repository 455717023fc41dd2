"""`deploy destroy`: Airflow and its network go; data goes only if that is said twice."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from deploy.account import Account
from deploy.ask import agree, typed
from deploy.drop import KeptThings, drop_data, kept_things
from deploy.names import Names
from deploy.problem import DeployFailed
from deploy.stack_events import StackEvents
from deploy.stacks import Stacks
from deploy.target import find_target, greet


def destroy(
    console: Console,
    *,
    environment: str,
    region: str | None,
    prefix: str | None,
    templates: Path | None,
    yes: bool,
    drop_data: bool,
    really: str | None,
    pause: float,
) -> None:
    """Delete an environment's Airflow and network and, if told twice, its data.

    :param console: what people see.
    :param environment: development, staging or production.
    :param region: AWS region.
    :param prefix: beginning of the buckets' names.
    :param templates: folder whose parameters/ has the prefix; None: this project's.
    :param yes: without asking, for what is not data.
    :param drop_data: data as well.
    :param really: the environment's name again, where there is no terminal.
    :param pause: seconds between two looks at a stack.
    :raises DeployFailed: with what happened and what to do.
    """
    target = find_target(environment=environment, region=region, prefix=prefix, templates=templates)
    names, account = target.names, target.account
    stacks = Stacks(account, StackEvents(account, console), pause=pause)
    greet(console, names, account)
    doomed = [stack for stack in (names.airflow, names.network) if stacks.status(stack) is not None]
    kept = kept_things(account, names)
    _announce(console, doomed, kept, drop_data=drop_data)
    if drop_data:
        _told_twice(environment, really)
    elif doomed and not (yes or agree(f"Delete them from {environment} (account {account.number})?")):
        raise DeployFailed("nothing was deleted.", "Run the same command again to delete.")
    for stack in doomed:
        stacks.delete(stack)
    if drop_data:
        _drop(console, account, names, kept, stacks)
        return
    console.print(
        f"[green]✓[/] {environment}: {'deleted' if doomed else 'nothing to delete'}; kept is what is listed above"
    )


def _announce(console: Console, doomed: list[str], kept: KeptThings, *, drop_data: bool) -> None:
    for stack in doomed:
        console.print(f"  [red]delete[/] stack {stack}")
    colour, word = ("red", "delete") if drop_data else ("green", "keep")
    for line in kept.lines(going=drop_data):
        console.print(f"  [{colour}]{word}[/] {line}")


def _told_twice(environment: str, really: str | None) -> None:
    """The flag was the first time; the environment's name, typed or given, is the second."""
    if really is not None:
        if really != environment:
            raise DeployFailed(
                f"--really says {really!r:.40}, but the environment is {environment}: nothing was deleted.",
                f"Data cannot be had back. If it is meant: --drop-data --really {environment}.",
            )
        return
    if not sys.stdin.isatty():
        raise DeployFailed(
            "data is only dropped if that is said twice, and there is no terminal: nothing was deleted.",
            f"Data cannot be had back. If it is meant: --drop-data --really {environment} (make destroy "
            f'ENV={environment} DROP_DATA=1 ARGS="--really {environment}").',
        )
    question = f"This cannot be taken back. Type the environment's name ({environment}) to drop its data: "
    if typed(question, instead=f"--drop-data --really {environment}") != environment:
        raise DeployFailed("that was not its name: nothing was deleted.", "Run the same command again if it is meant.")


def _drop(console: Console, account: Account, names: Names, kept: KeptThings, stacks: Stacks) -> None:
    drop_data(account, kept, console, foundation=lambda: stacks.delete(names.foundation))
    console.print(f"[green]✓[/] {names.environment}: everything is deleted")
