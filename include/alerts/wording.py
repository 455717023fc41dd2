"""How what an error says is told: in one line, and without the Ids of people."""

from __future__ import annotations

import re

#: The longest line that is told of an error.
LONGEST_LINE = 500
#: Salesforce Ids: they may be a person's, and an erasure does not come to what was told.
_ID = re.compile(r"\b[0-9A-Za-z]{5}0[0-9A-Za-z]{9}(?:[A-Z0-5]{3})?\b")


def one_line(text: str, *, longest: int = LONGEST_LINE) -> str:
    """A text without line breaks and invisible characters, cut where it is too long.

    :param text: any.
    :param longest: in characters.
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def without_ids(text: str) -> str:
    """A text with every Salesforce Id taken out.

    :param text: any; JSON stays JSON.
    """
    return _ID.sub("(Id left out)", text)
