"""What a CSV cell may hold: nothing that a spreadsheet takes for a formula, and nothing that a terminal obeys."""

from __future__ import annotations

import csv
import io

import pytest

from include.page.cells import as_cell

SIGNS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", ["", " ", "\u00a0", "\t", "\r\n", "x;", "x; ", ";"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_no_cell_begins_a_formula(sign: str, before: str, delimiter: str) -> None:
    """However a spreadsheet splits the file: by commas, or by semicolons as in much of Europe."""
    written = io.StringIO()
    csv.writer(written).writerow(["at", as_cell(f"{before}{sign}1+1"), "to"])
    cells = next(csv.reader([written.getvalue()], delimiter=delimiter))
    assert not [cell for cell in cells if cell.strip().startswith(tuple(SIGNS))], cells


@pytest.mark.parametrize("text", ["", "Ada", "a = b", "x;y", "1-2", "a;b=c"])
def test_what_is_no_formula_stays(text: str) -> None:
    assert as_cell(text) == text


def test_what_is_no_text_stays() -> None:
    assert [as_cell(value) for value in (None, 1, -1.5, True)] == [None, 1, -1.5, True]


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    assert as_cell("a\x07b\u202ec") == "a\\x07b\\u202ec"
