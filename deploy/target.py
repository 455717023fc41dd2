"""Which environment a command is about: its names, the account, and what people have chosen for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deploy.account import Account, whoami
from deploy.names import Names
from deploy.problem import DeployFailed
from deploy.templates import FOLDER, read_parameters


@dataclass(frozen=True, kw_only=True)
class Target:
    """An environment in an account.

    :param names: what everything of it is called.
    :param account: where it is.
    :param chosen: parameters of the templates that people have chosen.
    """

    names: Names
    account: Account
    chosen: Mapping[str, str]


def find_target(
    *,
    environment: str,
    region: str | None,
    prefix: str | None,
    templates: Path | None,
    parameters: Mapping[str, str] | None = None,
) -> Target:
    """Look it up, and ask AWS who is asking.

    :param environment: development, staging or production.
    :param region: AWS region.
    :param prefix: beginning of the buckets' names; None: the parameters' file has it.
    :param templates: folder whose parameters/ has it; None: this project's.
    :param parameters: they win over the file's.
    :raises DeployFailed: with what is wrong and what to do.
    """
    chosen = {**read_parameters(environment, folder=templates or FOLDER), **(parameters or {})}
    names = Names.of(environment, prefix or chosen.get("BucketPrefix"))
    return Target(names=names, account=whoami(region), chosen=chosen)


def refuse_other_buckets(names: Names, there: Mapping[str, str]) -> None:
    """Buckets keep their names: with another prefix the environment would begin anew, beside its history.

    :param names: of the environment, as they are asked for.
    :param there: the foundation's parameters; none where it is not made yet.
    :raises DeployFailed: if its buckets begin otherwise.
    """
    prefix = there.get("BucketPrefix", names.prefix)
    if prefix != names.prefix:
        raise DeployFailed(
            f"the buckets of {names.environment} begin with {prefix}, and BucketPrefix is {names.prefix}.",
            f"Set BucketPrefix to {prefix} again, in deploy/cloudformation/parameters/ or --bucket-prefix: buckets "
            "keep their names. For other names deploy into another account, or destroy this environment first.",
        )


def greet(console: Console, names: Names, account: Account) -> None:
    """Say who this is, and where.

    :param console: what people see.
    :param names: of the environment.
    :param account: where it is.
    """
    console.print(f"[bold]{names.environment}[/] in account {account.number}, {account.region}, as {account.identity}")
