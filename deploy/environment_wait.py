"""The MWAA environment: what state it is in, and waiting until it is available."""

from __future__ import annotations

import time
from typing import Any

from botocore.exceptions import ClientError
from rich.console import Console

from deploy.account import Account
from deploy.problem import DeployFailed, error_code, explained

_AT_WORK = ("CREATING", "UPDATING", "CREATING_SNAPSHOT", "PENDING", "ROLLING_BACK", "MAINTENANCE")


def read_environment(account: Account, name: str) -> dict[str, Any] | None:
    """The environment as MWAA describes it; None where it is not there.

    :param account: where it is.
    :param name: of the environment.
    """
    with explained(f"reading the MWAA environment {name}"):
        try:
            return dict(account.client("mwaa").get_environment(Name=name)["Environment"])
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            raise


def wait_until_available(account: Account, name: str, console: Console, *, pause: float) -> dict[str, Any]:
    """Wait until the environment is available.

    :param account: where it is.
    :param name: of the environment.
    :param console: what people see.
    :param pause: seconds between two looks.
    :return: the environment.
    :raises DeployFailed: when it is not there, or cannot become available by itself.
    """
    said = ""
    while True:
        found = read_environment(account, name)
        status = str(found["Status"]) if found else "not there"
        if found and status == "AVAILABLE":
            return found
        if found is None or status not in _AT_WORK:
            raise unavailable(name, found)
        if status != said:
            said = status
            console.print(f"  [dim]… {name}: {status} (MWAA takes 20 to 40 minutes for a new environment)[/]")
        time.sleep(pause)


def unavailable(name: str, found: dict[str, Any] | None) -> DeployFailed:
    """What to raise about an environment that will not become available by itself.

    :param name: of the environment.
    :param found: from `read_environment`.
    """
    if found is None:
        return DeployFailed(f"there is no MWAA environment {name}.", "Make it: make deploy ENV=….")
    last = found.get("LastUpdate") or {}
    error = last.get("Error") or {}
    why = f": {error.get('ErrorCode', '')} {error.get('ErrorMessage', '')}".rstrip() if error else ""
    logs = (
        f"The log groups airflow-{name}-* say more (Scheduler, stream requirements_install; WebServer; startup_script)."
    )
    if found["Status"] == "CREATE_FAILED":
        remedy = (
            f"{logs} Usual causes: subnets without a way out, a missing permission of the execution role, a startup "
            "script that takes over 5 minutes. Then: make destroy ENV=… (data stays), make deploy ENV=…."
        )
    elif found["Status"] == "UPDATE_FAILED":
        remedy = f"{logs} The environment goes on as it was before. Set right what it names, then run it again."
    else:
        remedy = f"{logs} AWS Support can help where they do not."
    return DeployFailed(f"the MWAA environment {name} is {found['Status']}{why}", remedy)
