"""Where a page of a long list ends, as an opaque text: whoever asks for the next page hands it back.

It names the last row that was shown, not a number of rows: a list that grows meanwhile repeats and loses nothing.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from include.page.answers import BadRequest

#: The longest that is read; what is written is shorter. Proxies take addresses of 8,000 characters.
LONGEST = 7_000
#: Greater than any whole number in a cursor.
_MOST = 2**63


def write_cursor(kind: str, place: dict[str, Any]) -> str:
    """A cursor.

    :param kind: which list it is of.
    :param place: the last row that was shown, and what is known there.
    """
    text = json.dumps([kind, place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(kind: str, cursor: str, **fields: type | tuple[type, ...]) -> dict[str, Any]:
    """What a cursor says.

    :param kind: which list it must be of.
    :param cursor: as it was handed out.
    :param fields: what it holds, and of which type.
    :raises BadRequest: for any other text.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        found, place = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        json.dumps(place, ensure_ascii=False).encode()  # half a character is no text: Arrow takes none
        fits = found == kind and set(place) == set(fields) and all(map(_is_small, place.values()))
        if fits and all(type(place[name]) in _types(kinds) for name, kinds in fields.items()):
            known: dict[str, Any] = place
            return known
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise not_a_cursor(cursor)


def not_a_cursor(cursor: str) -> BadRequest:
    """What is said of a text that no answer had.

    :param cursor: the text.
    """
    return BadRequest(
        f"page is {cursor!r:.80}: allowed is what an answer had in `next`.", remedy="Open the list from its beginning."
    )


def _is_small(value: Any) -> bool:
    """Whether a number, or each in a list, fits into 64 bits."""
    if isinstance(value, list):
        return all(map(_is_small, value))
    return not isinstance(value, int) or -_MOST <= value < _MOST


def _types(kinds: type | tuple[type, ...]) -> tuple[type, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)
