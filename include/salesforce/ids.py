"""Salesforce ids: 15 case-sensitive characters, or 18 with a suffix that says where the capitals are."""

from __future__ import annotations

import re

#: 15 or 18 letters and digits. The suffix is not checked: it is Salesforce's to make.
ID_PATTERN = r"^[A-Za-z0-9]{15}([A-Za-z0-9]{3})?$"

_ID = re.compile(ID_PATTERN)
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def to_18(identity: str) -> str:
    """The 18-character form of an id.

    :param identity: an id of 15 or 18 characters.
    :raises ValueError: when it is neither.
    """
    if not _ID.fullmatch(identity):
        raise ValueError(f"{identity!r:.60} is not a Salesforce id: 15 or 18 letters and digits are expected")
    if len(identity) == 18:
        return identity
    suffix = ""
    for start in (0, 5, 10):
        capitals = sum(1 << place for place, letter in enumerate(identity[start : start + 5]) if letter.isupper())
        suffix += _SUFFIX[capitals]
    return identity + suffix
