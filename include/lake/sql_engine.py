"""What an SQL engine (Athena, Trino) is asked for, and how names and values get into its statements.

Both spell the statements used here the same. Who talks to one of them is in `plugins/`; this package is given it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

_TABLE = re.compile(r"[a-z][a-z0-9_]{0,254}")
_COLUMN = re.compile(r"[a-z_][a-z0-9_]{0,254}")


class EngineFailed(RuntimeError):
    """The engine did not finish a statement of an upsert. Nothing was published, so nothing is lost."""


class Engine(Protocol):
    """An SQL engine over the lake's catalog."""

    @property
    def name(self) -> str:
        """`athena` or `trino`, for messages."""
        ...

    def execute(self, statement: str, *, namespace: str, about: str) -> Sequence[Sequence[Any]]:
        """Run one statement to its end. It is cancelled when the caller is stopped meanwhile.

        :param statement: SQL.
        :param namespace: where names without one belong.
        :param about: what the statement is for, for the log and messages.
        :return: the rows of a SELECT.
        :raises EngineFailed: with the engine's reason.
        """
        ...


def table_name(identifier: str) -> str:
    """A table's name as a statement has it.

    :param identifier: `namespace.table`.
    :raises ValueError: for a name that is none of ours.
    """
    parts = identifier.split(".")
    if len(parts) != 2 or not all(_TABLE.fullmatch(part) for part in parts):
        raise ValueError(
            f"{identifier!r:.120} is not a table's name: allowed is namespace.table, each of lower-case letters, "
            "digits and underscores. Nothing was asked of the engine. Correct the object file's table, or the "
            "environment's namespaces."
        )
    return identifier


def column(name: str, *, of: str = "") -> str:
    """A column as a statement has it, in quotes.

    :param name: the column.
    :param of: alias of the table that it belongs to.
    :raises ValueError: for a name that is none of ours.
    """
    if not _COLUMN.fullmatch(name):
        raise ValueError(
            f"{name!r:.120} is not a column's name: allowed are lower-case letters, digits and underscores. Nothing "
            "was asked of the engine. Correct the object file's fields."
        )
    return f'{of}."{name}"' if of else f'"{name}"'


def text(value: str) -> str:
    """A text as a statement has it.

    :param value: any text.
    """
    return "'" + value.replace("'", "''") + "'"


def moment(value: datetime) -> str:
    """A moment as a statement has it: UTC, microseconds.

    :param value: with a time zone.
    """
    return f"TIMESTAMP '{value.astimezone(UTC).strftime('%Y-%m-%d %H:%M:%S.%f')} UTC'"
