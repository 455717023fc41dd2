"""Access tokens: given at login, looked up at every call, expired by scripts."""

from __future__ import annotations

import secrets
import threading

from local.org.database import Database


class Sessions:
    """The org's open sessions, kept across restarts.

    :param database: the org's file.
    :param org_id: the org's Id; a token begins with its first 15 characters.
    """

    def __init__(self, *, database: Database, org_id: str) -> None:
        self._database = database
        self._prefix = org_id[:15]
        self._lock = threading.Lock()
        rows = database.connection().execute("SELECT token FROM sessions")
        self._tokens = {token for (token,) in rows}

    def open(self, *, kind: str, at: int) -> str:
        """Open a session.

        :param kind: how the client logged in, e.g. ``client_credentials``.
        :param at: the org's time, in seconds since 1970.
        :returns: the access token.
        """
        token = f"{self._prefix}!{secrets.token_urlsafe(72)}"
        with self._lock, self._database.write() as connection:
            connection.execute("INSERT INTO sessions VALUES (?, ?, ?)", (token, kind, at))
            self._tokens.add(token)
        return token

    def is_open(self, token: str) -> bool:
        """Tell whether a token is that of an open session.

        :param token: the token that a client sent.
        """
        return token in self._tokens

    def expire(self) -> int:
        """End all sessions, and return how many there were."""
        with self._lock, self._database.write() as connection:
            connection.execute("DELETE FROM sessions")
            ended = len(self._tokens)
            self._tokens.clear()
        return ended

    def count(self) -> int:
        """Return the number of open sessions."""
        return len(self._tokens)
