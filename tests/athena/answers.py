"""What Athena says: results, refusals and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

#: https://docs.aws.amazon.com/athena/latest/ug/error-reference.html
SYSTEM, USER, OTHER = 1, 2, 3
ICEBERG_ERROR, USER_ERROR, ENGINE_ERROR = 233, 1000, 200
_OF_THE_SYSTEM = ("ICEBERG_COMMIT_ERROR", "ICEBERG_FILESYSTEM_ERROR")


class Refused(ValueError):
    """StartQueryExecution answers InvalidRequestException with this message; nothing is run."""


class Failed(RuntimeError):
    """The query ends as FAILED.

    :param name: the error's name, such as NOT_SUPPORTED.
    :param message: what else it says.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name

    @property
    def catalogued(self) -> tuple[int, int]:
        """Category and type by Athena's error catalogue."""
        if self.name.startswith("ICEBERG_"):
            return (SYSTEM if self.name in _OF_THE_SYSTEM else USER), ICEBERG_ERROR
        if self.name in ("GENERIC_INTERNAL_ERROR", "INTERNAL_ERROR"):
            return SYSTEM, ENGINE_ERROR
        return USER, USER_ERROR


class Cancelled(RuntimeError):
    """The query ends as CANCELLED."""


@dataclass(frozen=True)
class Result:
    """What a statement gave.

    :param columns: name and type of each, as Trino says it.
    :param rows: values as Trino's protocol has them.
    :param updated: rows written; None for a statement that writes none.
    :param scanned: bytes read.
    """

    columns: Sequence[tuple[str, str]] = ()
    rows: Sequence[Sequence[object]] = ()
    updated: int | None = None
    scanned: int = 0


@dataclass(frozen=True)
class Text:
    """Lines of a statement that has no table for an answer: DDL, SHOW, DESCRIBE.

    :param lines: as Athena writes them into `<id>.txt`.
    """

    lines: Sequence[str] = field(default_factory=tuple)
