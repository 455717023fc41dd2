"""Values that leave for a terminal or a spreadsheet: nothing in them is obeyed."""

from __future__ import annotations

import re
import unicodedata

#: Categories of characters that are no text: control, format (which turns the direction), lone surrogates, line ends.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
#: Where a spreadsheet's formula may begin: at the beginning of a cell, spaces aside, and after a semicolon, which ends
#: a cell where the decimal sign is a comma. Some take the full-width signs of East Asian scripts as well.
_FORMULA = re.compile("(^|;)(?=\\s*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20])")


def visible(text: str) -> str:
    """Text in which control characters are spelled out: a refused Id may hold what a terminal would obey.

    :param text: any.
    """
    if text.isprintable():
        return text
    return "".join(one if unicodedata.category(one) not in _OBEYED else ascii(one)[1:-1] for one in text)


def as_cell(value: object) -> object:
    """A CSV cell that no spreadsheet takes for a formula.

    :param value: any; what begins like a formula gets an apostrophe in front.
    """
    if not isinstance(value, str):
        return value
    return visible(_FORMULA.sub(r"\1'", value))
