"""Salesforce record Ids: 15 case-sensitive characters, or 18 with a suffix that makes case not matter."""

from __future__ import annotations

import re

_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?", re.ASCII)
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def is_id(text: str) -> bool:
    """Tell whether a text has the form of a record Id.

    :param text: 15 or 18 ASCII letters and digits, or something else.
    """
    return _ID.fullmatch(text) is not None


def to_18(text: str) -> str:
    """Return the 18-character form of an Id. An Id of 18 characters is returned as it is.

    :param text: an Id of 15 or 18 characters.
    :raises ValueError: if it has not the form of an Id.
    """
    if not is_id(text):
        raise ValueError(f"{text!r} is not a record Id; allowed are 15 or 18 letters and digits")
    if len(text) == 18:
        return text
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << place for place, char in enumerate(text[start : start + 5]) if "A" <= char <= "Z")
        suffix += _SUFFIX[bits]
    return text + suffix


def numbered(prefix: str, number: int) -> str:
    """Return the 18-character Id of the n-th thing with a key prefix.

    :param prefix: the three characters that tell the kind, e.g. ``750`` for a Bulk job.
    :param number: zero or more.
    """
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return to_18(f"{prefix}{digits.rjust(12, '0')}")
