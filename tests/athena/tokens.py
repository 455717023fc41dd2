"""SQL as tokens, so that nothing is ever changed inside a string, a quoted name or a comment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "string", "quoted", "backtick", "number", "mark", "space", "comment"]

_PATTERNS: Sequence[tuple[Kind, str]] = (
    ("space", r"\s+"),
    ("comment", r"--[^\n]*|/\*.*?\*/"),
    ("string", r"'(?:[^']|'')*'"),
    ("quoted", r'"(?:[^"]|"")*"'),
    ("backtick", r"`(?:[^`]|``)*`"),
    ("word", r"[A-Za-z_][A-Za-z0-9_@$]*"),
    ("number", r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"),
    ("mark", r"."),
)
_TOKEN = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _PATTERNS), re.DOTALL)
_NAMES: frozenset[Kind] = frozenset({"word", "quoted", "backtick"})


@dataclass(frozen=True)
class Token:
    """A piece of SQL.

    :param kind: what it is.
    :param text: as it is written.
    :param at: where it begins.
    """

    kind: Kind
    text: str
    at: int

    @property
    def says(self) -> str:
        """A word in lower case, a name or a string without its quotes."""
        if self.kind in ("string", "quoted", "backtick"):
            quote = self.text[0]
            return self.text[1:-1].replace(quote * 2, quote)
        return self.text.lower()

    @property
    def is_name(self) -> bool:
        """Whether it can name a table or a column."""
        return self.kind in _NAMES

    @property
    def means_something(self) -> bool:
        """Neither space nor comment."""
        return self.kind not in ("space", "comment")


def tokens(sql: str) -> list[Token]:
    """All tokens; written one after the other they are the SQL.

    :param sql: any text.
    """
    return [Token(_kind(found), found[0], found.start()) for found in _TOKEN.finditer(sql)]


def statements(sql: str) -> list[str]:
    """The statements that semicolons divide, without empty ones.

    :param sql: any text.
    """
    parts: list[list[Token]] = [[]]
    for token in tokens(sql):
        if token.kind == "mark" and token.text == ";":
            parts.append([])
        else:
            parts[-1].append(token)
    return ["".join(token.text for token in part).strip() for part in parts if any(t.means_something for t in part)]


def place(sql: str, at: int) -> str:
    """`line 3:14`, as engines say where something is.

    :param sql: the statement.
    :param at: offset in it.
    """
    before = sql[:at]
    return f"line {before.count(chr(10)) + 1}:{at - (before.rfind(chr(10)) + 1) + 1}"


class Reader:
    """Reads a statement word by word.

    :param sql: one statement.
    """

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self._tokens = [token for token in tokens(sql) if token.means_something]
        self._next = 0

    def __iter__(self) -> Iterator[Token]:
        return iter(self._tokens)

    @property
    def here(self) -> Token | None:
        """The token that is next; None at the end."""
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    @property
    def rest(self) -> str:
        """The text from here on."""
        return self.sql[self.here.at :] if self.here else ""

    def step(self) -> Token:
        """Take the next token, whatever it is.

        :raises EndOfStatement: if there is none.
        """
        if (token := self.here) is None:
            raise EndOfStatement(f"{place(self.sql, len(self.sql))}: mismatched input '<EOF>'")
        self._next += 1
        return token

    def take(self, *words: str) -> bool:
        """Take these words or marks if they are next, all of them.

        :param words: in lower case.
        """
        ahead = self._tokens[self._next : self._next + len(words)]
        if [token.says for token in ahead if token.kind in ("word", "mark")] != list(words):
            return False
        self._next += len(words)
        return True

    def name(self) -> tuple[str, ...]:
        """Take a dotted name.

        :raises EndOfStatement: if there is none.
        """
        parts = [self._part()]
        while self.take("."):
            parts.append(self._part())
        return tuple(parts)

    def list_of_tokens(self) -> list[list[Token]]:
        """Take `( a , b … )`: the tokens of each element; commas within brackets divide nothing.

        :raises EndOfStatement: if the bracket is not there, or not closed.
        """
        if not self.take("("):
            raise self.unexpected("'('")
        found: list[list[Token]] = [[]]
        depth = 0
        while True:
            token = self.step()
            mark = token.text if token.kind == "mark" else ""
            if mark == ")" and depth == 0:
                return [part for part in found if part]
            depth += (mark in ("(", "<", "[") and 1) - (mark in (")", ">", "]") and 1)
            if mark == "," and depth == 0:
                found.append([])
            else:
                found[-1].append(token)

    def unexpected(self, expected: str) -> EndOfStatement:
        """What to raise when something else is there.

        :param expected: what should be.
        """
        token = self.here
        where, what = (place(self.sql, token.at), token.text) if token else (place(self.sql, len(self.sql)), "<EOF>")
        return EndOfStatement(f"{where}: mismatched input '{what}'. Expecting: {expected}")

    def _part(self) -> str:
        if self.here is None or not self.here.is_name:
            raise self.unexpected("<identifier>")
        token = self.step()
        return token.says if token.kind == "word" else token.says.lower()


class EndOfStatement(ValueError):
    """Something else is next than a statement may have there."""


def _kind(found: re.Match[str]) -> Kind:
    kind = found.lastgroup
    assert kind is not None
    return kind  # type: ignore[return-value]
