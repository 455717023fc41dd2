"""Values that leave for a terminal or a spreadsheet: nothing in them is obeyed."""

from __future__ import annotations

import unicodedata

#: Categories of characters that are no text: control, format (which turns the direction), lone surrogates, line ends.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")
#: With what a spreadsheet's formula may begin.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """Text in which control characters are spelled out: a refused Id may hold what a terminal would obey.

    :param text: any.
    """
    if text.isprintable():
        return text
    return "".join(one if unicodedata.category(one) not in _OBEYED else ascii(one)[1:-1] for one in text)


def as_cell(value: object) -> object:
    """A CSV cell that no spreadsheet takes for a formula.

    :param value: any; texts that begin like a formula get an apostrophe in front.
    """
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(_FORMULA) else visible(value)
