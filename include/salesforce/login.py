"""Logging in: one connection at a time, made anew when its session has expired."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable

import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import SalesforceAuthenticationFailed

from include.salesforce.errors import ApiLimitReached, ConnectionIncomplete, CredentialsRefused, Unavailable, clean
from include.salesforce.http import tls_problem
from include.salesforce.ids import to_18
from include.salesforce.redaction import hide

log = logging.getLogger(__name__)

_ORG_OF_TOKEN = re.compile(r"(00D[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)!")
_PASSING_CODES = ("SERVER_UNAVAILABLE", "UNKNOWN_EXCEPTION", "server_error", "temporarily_unavailable")


class Login:
    """The current connection to the org.

    :param connect: logs in and returns a connection.
    :param secrets: what the login is made with: no message may hold it.
    """

    def __init__(self, connect: Callable[[], Salesforce], secrets: Callable[[], Iterable[str]] = tuple) -> None:
        self._connect, self._secrets = connect, secrets
        self._sessions: set[str] = set()
        self._connection: Salesforce | None = None
        self._warned = False
        self._lock = threading.Lock()

    def connection(self) -> Salesforce:
        """The connection; made at the first call and after `forget`.

        :raises ConnectionIncomplete: when the connection does not hold a login.
        :raises CredentialsRefused: when the org refuses the login.
        :raises ApiLimitReached: when the org has no API requests left.
        :raises Unavailable: when another attempt may succeed.
        """
        with self._lock:
            if self._connection is None:
                self._connection = self._log_in()
                self._sessions.add(self._connection.session_id or "")
                if self._connection.auth_type in {"password", "ipfilter"} and not self._warned:
                    self._warned = True
                    log.warning(
                        "This connection logs in with a password. Salesforce retires the SOAP login with Summer '27: "
                        "change the connection to client credentials (consumer key and secret) or JWT."
                    )
            return self._connection

    def forget(self, expired: Salesforce | None = None) -> None:
        """Drop the connection: the next request logs in again. Of several requests that met its end, one does.

        :param expired: the connection whose session has expired; one that was made since is kept. Default: any.
        """
        with self._lock:
            if expired is None or self._connection is expired:
                self._connection = None

    def hide(self, text: str) -> str:
        """A text without the secrets of this login and without the tokens that it was given.

        :param text: what Salesforce said.
        """
        return hide(text, (*self._secrets(), *self._sessions))

    def org_id(self) -> str | None:
        """18-character id of the org where the session id tells it (`00D…!…`), else None."""
        found = _ORG_OF_TOKEN.match(self.connection().session_id or "")
        return to_18(found[1]) if found else None

    def _log_in(self) -> Salesforce:
        try:
            return self._connect()
        except SalesforceAuthenticationFailed as error:
            code = clean(self.hide(str(error.code or "")), limit=80)
            said = clean(self.hide(str(error.auth_message))).rstrip(".")
            if (code.isdigit() and int(code) >= 500) or any(passing in code for passing in _PASSING_CODES):
                raise Unavailable(f"logging in: Salesforce answered {code}.") from None
            if "REQUEST_LIMIT_EXCEEDED" in code:
                raise ApiLimitReached(f"logging in: {code}: {said}.") from None
            raise CredentialsRefused(f"logging in: Salesforce answered {code}: {said}.") from None
        except TypeError:  # what simple_salesforce raises for a combination of values that is no login
            raise ConnectionIncomplete("logging in: the Airflow connection does not hold a complete login.") from None
        except requests.exceptions.SSLError as error:
            raise tls_problem("logging in", error) from None
        except requests.RequestException as error:
            raise Unavailable(f"logging in: the connection to Salesforce failed ({type(error).__name__}).") from None
