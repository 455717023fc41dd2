"""The Salesforce login on its way into Secrets Manager: from a prompt that shows nothing, or from a file.

It is never an argument, never printed, and never written to a file here.
"""

from __future__ import annotations

import getpass
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import ClientError

from deploy.account import Account
from deploy.ownership import describe_secret
from deploy.problem import DENIED, DeployFailed, error_code, explained
from include.salesforce.errors import ConnectionIncomplete
from include.salesforce.secret import parse_login

_LARGEST = 64 * 1024
#: Stands for a login that is stored, but that this identity may not read, such as GitHub's role.
UNSEEN = "(this identity may not read it)"


def stored_text(account: Account, secret: str) -> str | None:
    """What the secret holds, whether it is a login or not; None: nothing; `UNSEEN`: something that is not ours to read.

    :param account: where the secret is.
    :param secret: its name or ARN.
    """
    with explained(f"reading the secret {secret}"):
        try:
            found = account.client("secretsmanager").get_secret_value(SecretId=secret)
        except ClientError as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            if error_code(error) not in DENIED:
                raise
            return UNSEEN if _has_value(account, secret) else None
    return str(found.get("SecretString", "(binary)")) or None


def stored_login(account: Account, secret: str) -> str | None:
    """The login that is stored; None: there is none; `UNSEEN`: one that is not ours to read.

    :param account: where the secret is.
    :param secret: its name or ARN.
    :raises DeployFailed: when something is stored that is no login; never what it is.
    """
    text = stored_text(account, secret)
    if text is None or text == UNSEEN:
        return text
    try:
        parse_login(text, where=f"the secret {secret}")
    except ConnectionIncomplete as wrong:
        raise DeployFailed(
            wrong.what.removeprefix("logging in: "),
            "It is not overwritten unasked. Set it right in Secrets Manager, or give the login that is to replace it: "
            "make deploy ENV=… CREDENTIALS=file. docs/deploy.md has the two shapes.",
        ) from None
    return text


def _has_value(account: Account, secret: str) -> bool:
    versions = (describe_secret(account, secret) or {}).get("VersionIdsToStages") or {}
    return any("AWSCURRENT" in stages for stages in versions.values())


def store_login(account: Account, secret: str, login: str) -> bool:
    """Put a login into the secret, unless it is there.

    :param account: where the secret is.
    :param secret: its name or ARN.
    :param login: JSON of one of the two shapes.
    :return: whether it was put there.
    """
    if stored_text(account, secret) == login:
        return False
    with explained(f"storing the Salesforce login in {secret}"):
        account.client("secretsmanager").put_secret_value(SecretId=secret, SecretString=login)
    return True


def login_from_file(path: Path) -> str:
    """Read a login from a file that only its owner can read.

    :param path: of the file.
    :raises DeployFailed: naming the file and what is wrong; never what is in it.
    """
    try:
        # A pipe that nobody writes to would be waited for without an end.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:  # noqa: PTH123 of a descriptor
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DeployFailed(f"{path} is not a file.", "Give a file of one of the two shapes (docs/deploy.md).")
            if status.st_mode & 0o077:
                raise DeployFailed(
                    f"{path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}).",
                    f"Its secrets are theirs then. Make it yours: chmod 600 {path}, and consider rotating them.",
                )
            text = opened.read(_LARGEST).decode("utf-8-sig")
    except OSError as error:
        raise DeployFailed(f"{path} cannot be read: {error.strerror}.", "Give CREDENTIALS=path of the file.") from None
    except UnicodeDecodeError:
        raise DeployFailed(f"{path} is not UTF-8.", "Write it as JSON in UTF-8.") from None
    return _checked(text, where=f"the file {path}")


def login_from_prompt(
    environment: str,
    *,
    ask: Callable[[str], str] = input,
    ask_silently: Callable[[str], str] = getpass.getpass,
) -> str:
    """Ask a person for a login. What is secret is not echoed.

    :param environment: for the text.
    :param ask: asks with an echo.
    :param ask_silently: asks without one.
    :raises DeployFailed: when nobody can be asked, or what was typed is no login.
    """
    if not sys.stdin.isatty():
        raise DeployFailed(
            f"{environment} has no Salesforce login yet, and there is no terminal to ask for it.",
            "Give it in a file that only you can read: make deploy ENV=… CREDENTIALS=file (docs/deploy.md).",
        )
    print(f"The Salesforce login of {environment} (what is secret is not shown while you type):")
    kind = (
        ask("  1: connected app (consumer key and secret), 2: user, password and security token [1]: ").strip() or "1"
    )
    if kind == "1":
        login = {
            "consumer_key": ask_silently("  consumer key: "),
            "consumer_secret": ask_silently("  consumer secret: "),
            "domain": ask("  My Domain (such as mycompany.my.salesforce.com): "),
        }
    elif kind == "2":
        login = {
            "username": ask("  username: "),
            "password": ask_silently("  password: "),
            "security_token": ask_silently("  security token (empty if the org trusts your addresses): "),
            "domain": ask("  domain (login, test, or your My Domain) [login]: ").strip() or "login",
        }
    else:
        raise DeployFailed(f"{kind!r:.20} is neither 1 nor 2.", "Run the same command again.")
    return _checked(
        json.dumps({key: value if key == "password" else value.strip() for key, value in login.items()}),
        where="what was typed",
    )


def _checked(text: str, *, where: str) -> str:
    try:
        parse_login(text, where=where)
    except ConnectionIncomplete as wrong:
        raise DeployFailed(
            wrong.what.removeprefix("logging in: "),
            'Allowed are {"consumer_key", "consumer_secret", "domain"} and {"username", "password", "security_token", '
            '"domain"}, as JSON. Then run the same command again.',
        ) from None
    return text
