"""The client: every request to Salesforce goes through here, and is retried, re-authenticated, counted and timed alike.

The connection is a `simple_salesforce.Salesforce` that a callable makes; a new one is asked for when the session has
expired, so that the secret is read again. What the client adds: retries with backoff and jitter that end, one bounded
re-login a request, typed errors, the org's own clock, and the numbers of `ExtractionStats`. Threads may share it.
"""

from __future__ import annotations

import email.utils
import logging
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, TypeVar

import requests
import tenacity
from simple_salesforce import Salesforce
from urllib3.exceptions import HTTPError as TransportError

from include.salesforce import soql
from include.salesforce.errors import (
    ApiReserveReached,
    SessionExpired,
    SessionLost,
    SourceUnavailable,
    Unavailable,
    problem_of,
)
from include.salesforce.http import save_body, tls_problem
from include.salesforce.ids import to_18
from include.salesforce.login import Login

log = logging.getLogger(__name__)

#: Attempts after the first one.
RETRIES = 3
#: Seconds before the first retry; each later one waits `BACKOFF_FACTOR` times as long, plus jitter.
FIRST_BACKOFF_SECONDS = 2.0
BACKOFF_FACTOR = 2.0
#: Seconds to wait on a rate limit that names no time itself, and the longest that it may ask for.
RATE_LIMIT_SECONDS = 60.0
LONGEST_DELAY_SECONDS = 600.0

_USAGE = re.compile(r"(?<![\w-])api-usage=(\d+)/(\d+)")

T = TypeVar("T")


class SalesforceClient:
    """A conversation with one org.

    :param connect: logs in and returns a connection; called again when a session has expired. It should read the
        secret afresh each time.
    :param sleep: waits so many seconds; tests pass their own.
    :param retries: attempts after the first one, for what may pass by itself.
    :param max_api_usage_percentage: share of the org's daily API requests (0-100) over which `check_reserve` refuses.
    :param secrets: what the login is made with: it is taken out of whatever Salesforce says before that is quoted.
    """

    def __init__(
        self,
        connect: Callable[[], Salesforce],
        *,
        sleep: Callable[[float], None] = time.sleep,
        retries: int = RETRIES,
        max_api_usage_percentage: float = 100.0,
        secrets: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._login = Login(connect, secrets)
        self._org_id: str | None = None
        self._now: datetime | None = None
        self._retries = retries
        self._backoff = tenacity.wait_exponential(
            multiplier=FIRST_BACKOFF_SECONDS, exp_base=BACKOFF_FACTOR, max=RATE_LIMIT_SECONDS
        ) + tenacity.wait_random(0, 1)
        self.sleep = sleep
        self._max_api_usage = max_api_usage_percentage
        #: HTTP requests sent, logins not counted, retries counted.
        self.api_calls = 0
        #: Bytes of response bodies, as they came over the wire.
        self.bytes_received = 0
        #: Share of the org's daily API requests in use, as of the last answer; None: not said.
        self.api_usage_percent: float | None = None
        self._counting = threading.Lock()

    # ------------------------------------------------------------------ what callers use

    def get_json(
        self,
        path: str,
        *,
        what: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """GET, and the answer's JSON.

        :param path: below `/services/data/vNN.N/`, or from the instance's root when it begins with `/`.
        :param what: what is being done, for messages: `describing User`.
        :param params: query parameters, unescaped.
        :param headers: headers besides those of the session.
        :raises SalesforceProblem: see include/salesforce/errors.py.
        """
        return self._request("GET", path, what=what, params=params, headers=headers, receive=self._receive_json)

    def post_json(self, path: str, body: Mapping[str, Any], *, what: str) -> Any:
        """POST a JSON document, and the answer's JSON; parameters as in `get_json`.

        :param body: the document.
        """
        return self._request("POST", path, what=what, body=body, receive=self._receive_json)

    def patch_json(self, path: str, body: Mapping[str, Any], *, what: str) -> Any:
        """PATCH a JSON document, and the answer's JSON; parameters as in `get_json`.

        :param body: the document.
        """
        return self._request("PATCH", path, what=what, body=body, receive=self._receive_json)

    def delete(self, path: str, *, what: str) -> None:
        """DELETE; parameters as in `get_json`."""
        self._request("DELETE", path, what=what, receive=lambda response: response.content)

    def download(
        self,
        path: str,
        *,
        what: str,
        read: Callable[[BinaryIO, Mapping[str, str]], T],
        params: Mapping[str, str] | None = None,
    ) -> T:
        """GET a large body, unpacked, and read it. Cut off, it is downloaded again.

        :param read: makes the result from the file, which stands at its beginning, and the answer's headers; may raise
            `Unavailable` when what it finds is not whole, which is retried like a broken connection.
        """
        accept = {"Accept": "text/csv", "Accept-Encoding": "gzip"}

        def receive(response: requests.Response) -> T:
            body, received = save_body(response)
            self._count(received=received)
            with body:
                return read(body, response.headers)

        return self._request("GET", path, what=what, params=params, headers=accept, receive=receive, stream=True)

    def count(self, query: str, *, include_deleted: bool, what: str) -> int:
        """Salesforce's answer to a COUNT() query.

        :param query: from `soql.count`.
        :param include_deleted: count soft-deleted records too.
        """
        path = "queryAll/" if include_deleted else "query/"
        return int(self.get_json(path, params={"q": query}, what=what)["totalSize"])

    def check_reserve(self, what: str) -> None:
        """Go on only while others have API requests left. Sends nothing: the last answer said how many are in use.

        :param what: what would go on, for the message.
        :raises ApiReserveReached: when more are in use than allowed.
        """
        if (used := self.api_usage_percent) is not None and used > self._max_api_usage:
            allowed = f"over the {self._max_api_usage:g} % allowed"
            raise ApiReserveReached(f"{what}: {used:g} % of the org's daily API requests are in use, {allowed}.")

    def hide(self, text: str) -> str:
        """A text of Salesforce's without the secrets that were sent there.

        :param text: the text.
        """
        return self._login.hide(text)

    def clock(self) -> datetime:
        """The org's clock now (UTC, whole seconds): asked with the cheapest request there is."""
        self._now = None
        self.get_json("", what="reading the org's clock")
        return self.now

    @property
    def now(self) -> datetime:
        """The org's clock at its last answer; asked if there has been none. A worker's clock may be wrong."""
        return self._now if self._now is not None else self.clock()

    @property
    def api_version(self) -> float:
        """Of Salesforce's API, as the connection asks for it: 59.0."""
        return float(self._login.connection().sf_version or 0)

    @property
    def org_id(self) -> str:
        """18-character id of the org: part of every session id, else asked from the org."""
        if self._org_id is None:
            self._org_id = self._login.org_id()
            if self._org_id is None:
                query = soql.select(fields=["Id"], object_name="Organization")
                answer = self.get_json("query/", params={"q": query}, what="asking the org for its id")
                self._org_id = to_18(answer["records"][0]["Id"])
        return self._org_id

    def user_id(self) -> str:
        """18-character id of the user that is logged in, as the org's list of resources names it.

        :raises SalesforceProblem: see include/salesforce/errors.py.
        """
        resources = self.get_json("", what="asking the org who is logged in")
        return to_18(str(resources["identity"]).rpartition("/")[2])

    # ------------------------------------------------------------------ one request, however many attempts

    def _request(
        self,
        method: str,
        path: str,
        *,
        what: str,
        receive: Callable[[requests.Response], T],
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> T:
        def attempt() -> T:
            connection = self._login.connection()
            try:
                return exchange(connection)
            except SessionExpired:
                log.info("%s: the session has expired, logging in again", what)
                self._login.forget(connection)
            try:
                return exchange(self._login.connection())
            except SessionExpired as error:
                raise SessionLost(f"{error} That was straight after a new login.") from None

        def exchange(connection: Salesforce) -> T:
            return self._exchange(
                connection, method, path, what, receive, params=params, json=body, headers=headers, stream=stream
            )

        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._retries + 1),
            retry=tenacity.retry_if_exception_type(Unavailable),
            wait=self._wait,
            sleep=self.sleep,
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except Unavailable as error:
            raise SourceUnavailable(f"{error} Tried {self._retries + 1} times.") from error

    def _exchange(
        self,
        connection: Salesforce,
        method: str,
        path: str,
        what: str,
        receive: Callable[[requests.Response], T],
        *,
        headers: Mapping[str, str] | None,
        **request: Any,
    ) -> T:
        url = f"https://{connection.sf_instance}{path}" if path.startswith("/") else f"{connection.base_url}{path}"
        sent = {"Authorization": f"Bearer {connection.session_id}", "Accept": "application/json", **(headers or {})}
        self._count(calls=1)
        try:
            with connection.session.request(method, url, headers=sent, **request) as response:
                self._note(response)
                if response.status_code >= 300:
                    raise problem_of(
                        status=response.status_code,
                        body=response.text,
                        what=what,
                        retry_after=_retry_after(response.headers.get("Retry-After")),
                        rate_delay=RATE_LIMIT_SECONDS,
                        hide=self.hide,
                    )
                return receive(response)
        except requests.exceptions.SSLError as error:
            raise tls_problem(what, error) from None
        except (requests.RequestException, TransportError, zlib.error) as error:
            # The exception's own text may hold the URL; its class says enough.
            raise Unavailable(f"{what}: the connection to Salesforce failed ({type(error).__name__}).") from None

    def _receive_json(self, response: requests.Response) -> Any:
        content = response.content
        self._count(received=response.raw.tell())
        return response.json() if content else None

    def _count(self, *, calls: int = 0, received: int = 0) -> None:
        with self._counting:
            self.api_calls += calls
            self.bytes_received += received

    def _note(self, response: requests.Response) -> None:
        if said := response.headers.get("Date"):
            self._now = email.utils.parsedate_to_datetime(said).astimezone(UTC)
        if usage := _USAGE.search(response.headers.get("Sforce-Limit-Info", "")):
            used, allowed = int(usage[1]), int(usage[2])
            self.api_usage_percent = round(100 * used / allowed, 2) if allowed else None

    def _wait(self, state: tenacity.RetryCallState) -> float:
        failed = state.outcome.exception() if state.outcome else None
        if isinstance(failed, Unavailable) and failed.delay is not None:
            return min(failed.delay, LONGEST_DELAY_SECONDS)
        return self._backoff(state)


def _retry_after(value: str | None) -> float | None:
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds())


def _log_retry(state: tenacity.RetryCallState) -> None:
    failed = state.outcome.exception() if state.outcome else None
    waits = state.next_action.sleep if state.next_action else 0
    log.warning("%s Attempt %s failed; the next one in %.1f s", failed, state.attempt_number, waits)
