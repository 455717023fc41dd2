"""The org that the extraction suite reads: a simulated one with millions of users, filled once and kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.org.home import Home
from local.org.ids import to_18
from local.org.org import open_org

#: The first of them was made then, and so many in each second that follows.
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
USERS_A_SECOND = 100

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_FIRST = "0055f00000"
_BLOCK = 8192
_DIVISIONS = ("North", "South", "East", "West", "Central", None)
_PHASES = ("Phase1", "Phase2", "Phase3", "Complete", None)
_NAMES = ("Ada Lovelace", "Grace Hopper", 'Robert "Bob" Lee', "Zoë Kravitz-Ångström", "Nguyễn, Văn An", "José María")
_COLUMNS = ("Name", "Division", "Audit_Phase__c", "IsActive")


def org_home(users: int) -> Path:
    """A home with so many users, below the working directory; made if it is not there.

    :param users: how many.
    """
    folder = Path(f"org-{users}").absolute()
    if not folder.exists():
        draft = folder.with_suffix(".draft")
        _fill(draft, users)
        draft.rename(folder)
    return folder


def end_of(users: int) -> datetime:
    """The moment before which so many users were last changed.

    :param users: a multiple of those of a second.
    """
    return BEGIN + timedelta(seconds=users // USERS_A_SECOND)


def _fill(folder: Path, users: int) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    org = open_org(Home(folder))
    try:
        org.store.set_clock(int(end_of(users).timestamp()) + 3600)
        with org.store.database.write() as connection:
            org.store.make_columns("User", _COLUMNS)
            columns = ", ".join(f'"f_{name}"' for name in _COLUMNS)
            connection.executemany(
                "INSERT INTO rec_User (f_Id, f_SystemModstamp, f_LastModifiedDate, f_CreatedDate, f_IsDeleted, hidden, "
                f"{columns}) VALUES (?, ?, ?, ?, 0, 0, ?, ?, ?, ?)",
                _users(users),
            )
    finally:
        org.close()


def _users(users: int) -> Iterator[tuple[object, ...]]:
    """Ids in the order in which SQLite keeps them; the order of change is another within each block."""
    second = int(BEGIN.timestamp())
    ids = itertools.islice(_ids(), users)
    for block in range(0, users, _BLOCK):
        size = min(_BLOCK, users - block)
        for place, key in enumerate(itertools.islice(ids, size)):
            number = block + (place * 4093 + 17) % size if size == _BLOCK else block + place
            at = second + number // USERS_A_SECOND
            name = f"{_NAMES[number % 6]} {number:07d}"
            yield key, at, at, at, name, _DIVISIONS[number % 6], _PHASES[number % 5], number % 7 > 0


def _ids() -> Iterator[str]:
    for digits in itertools.product(_DIGITS, repeat=5):
        yield to_18(_FIRST + "".join(digits))
