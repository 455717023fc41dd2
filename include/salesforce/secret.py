"""A Salesforce login as AWS Secrets Manager holds it: a JSON object of one of two shapes.

    {"username": "…", "password": "…", "security_token": "…", "domain": "login"}
    {"consumer_key": "…", "consumer_secret": "…", "domain": "mycompany.my.salesforce.com"}

Both may have `version`, the API version. `security_token` is empty where the org trusts the range of addresses that the
login comes from. No message holds a value: who reads it may not be who may read the secret.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from include.salesforce.errors import ConnectionIncomplete

_PASSWORD = ("username", "password", "security_token", "domain")
_CLIENT = ("consumer_key", "consumer_secret", "domain")
_OPTIONAL = ("version",)
#: An org that trusts the range of addresses one comes from has given no token.
_MAY_BE_EMPTY = ("security_token",)
_SECRET = ("password", "security_token", "consumer_secret")

_SUFFIX = ".salesforce.com"
#: The part before .salesforce.com, where simple_salesforce sends the login.
_MY_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.my")
#: The simulated org's: nothing that leaves the machine.
_LOOPBACK = re.compile(r"127\.0\.0\.1:([0-9]{1,5})/[a-z]+")
_LAST_PORT = 65_535
_VERSION = re.compile(r"[0-9]{2,3}\.0")

_DOMAINS = (
    "allowed are login (production), test (sandboxes), with or without .salesforce.com, and the org's My Domain, such "
    "as mycompany.my.salesforce.com"
)


@dataclass(frozen=True, kw_only=True)
class StoredLogin:
    """A login, in the terms of an Airflow connection.

    :param login: the user, where there is one.
    :param password: its password.
    :param extra: the rest, as SalesforceHook reads it.
    :param secrets: what no message may hold.
    """

    login: str | None
    password: str | None = field(repr=False)
    extra: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


def parse_login(text: str, *, where: str) -> StoredLogin:
    """Read a secret's value.

    :param text: what Secrets Manager, or a file, holds.
    :param where: what to call it in messages: `the secret salesforce/production/credentials`.
    :raises ConnectionIncomplete: naming the secret, the key and what is allowed; never a value.
    """
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError):  # the latter: brackets in brackets in brackets
        raise _wrong(where, "is not JSON") from None
    if not isinstance(values, dict):
        raise _wrong(where, "is not a JSON object")
    shape = _CLIENT if "consumer_key" in values or "consumer_secret" in values else _PASSWORD
    if unknown := sorted(set(values) - {*shape, *_OPTIONAL}):
        raise _wrong(where, f"has {_keys(unknown)}, which does not belong to {_shown(shape)}")
    if missing := [key for key in shape if key not in values]:
        raise _wrong(where, f"lacks {_keys(missing)} of {_shown(shape)}")
    for key, value in values.items():
        if not isinstance(value, str) or not (value.strip() or key in _MAY_BE_EMPTY):
            raise _wrong(where, f"has no text under the key {key!r}")
        if not _can_be_sent(value):
            raise _wrong(where, f"has half a character (a lone surrogate) under the key {key!r}, which cannot be sent")
    domain = normalised_domain(values["domain"], where=where)
    if shape is _CLIENT and domain in ("login", "test"):
        raise _wrong(
            where,
            "has login or test under the key 'domain', where client credentials are not accepted; allowed is the org's "
            "My Domain, such as mycompany.my.salesforce.com",
        )
    if "version" in values and not _VERSION.fullmatch(values["version"]):
        raise _wrong(where, "has no API version under the key 'version'; allowed is one such as 59.0")
    extra = {key: values[key].strip() for key in ("security_token",) if key in values}
    extra |= {key: values[key] for key in ("consumer_key", "consumer_secret") if key in values}
    extra |= {"domain": domain, **({"version": values["version"]} if "version" in values else {})}
    return StoredLogin(
        login=values.get("username"),
        password=values.get("password"),
        extra=extra,
        secrets=tuple(values[key] for key in _SECRET if values.get(key, "").strip()),
    )


def normalised_domain(given: str, *, where: str) -> str:
    """A domain as simple_salesforce takes it, which is what stands before `.salesforce.com`.

    :param given: `login`, `login.salesforce.com`, `https://login.salesforce.com/`, a My Domain host …
    :param where: what to call its place in messages.
    :raises ConnectionIncomplete: when it is no domain of Salesforce's.
    """
    host = given.strip().lower().removeprefix("https://").rstrip("/").removesuffix(_SUFFIX)
    if host in ("login", "test") or _MY_DOMAIN.fullmatch(host):
        return host
    if (loopback := _LOOPBACK.fullmatch(host)) and 0 < int(loopback[1]) <= _LAST_PORT:
        return host
    raise _wrong(where, f"has no domain that is known under the key 'domain'; {_DOMAINS}")


def _can_be_sent(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _keys(names: list[str]) -> str:
    """Keys to be quoted. One that is no plain word may be a value in the wrong place."""
    quoted = [repr(name) if re.fullmatch(r"[A-Za-z][A-Za-z_]{0,30}", name) else "one that is no word" for name in names]
    return f"the key{'s' if len(names) > 1 else ''} {', '.join(quoted)}"


def _shown(shape: tuple[str, ...]) -> str:
    return "{" + ", ".join(f'"{key}"' for key in shape) + "}"


def _wrong(where: str, what: str) -> ConnectionIncomplete:
    return ConnectionIncomplete(
        f"logging in: {where} {what}.",
        remedy=f"Store {_shown(_CLIENT)} (client credentials) or {_shown(_PASSWORD)} under it: `make deploy` asks for "
        "it, or put it there in the AWS console. Every login reads it anew.",
    )
