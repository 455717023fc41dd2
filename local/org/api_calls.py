"""What every call of the data API has in common: version, session, limit, errors as Salesforce writes them."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from local.org.errors import SalesforceError, not_found, request_limit_exceeded, session_invalid
from local.org.org import Org

log = logging.getLogger(__name__)

FIRST_VERSION, LAST_VERSION = 31, 66
MAX_URI = 16_384
_BEARER = re.compile(r"(?:Bearer|OAuth) (\S+)", re.IGNORECASE)


@dataclass(frozen=True)
class Call:
    """A call that was let through. ``version`` is the API's, e.g. ``59.0``."""

    org: Org
    request: Request
    version: str
    body: bytes

    def path(self, name: str) -> str:
        """Return a part of the path.

        :param name: the part's name in the route.
        """
        return str(self.request.path_params[name])

    def query(self, name: str) -> str | None:
        """Return a parameter of the query string, or None.

        :param name: its name.
        """
        return self.request.query_params.get(name)


Handler = Callable[[Call], Response]


def versions() -> list[str]:
    """Return the API versions that the org has, the oldest first."""
    return [f"{number}.0" for number in range(FIRST_VERSION, LAST_VERSION + 1)]


def token_of(request: Request) -> str:
    """Return the access token that a request carries, or an empty text.

    :param request: the request.
    """
    found = _BEARER.fullmatch(request.headers.get("authorization", ""))
    return found[1] if found else ""


def data_api(resource: str, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that checks a call, counts it, and runs a handler in a thread.

    :param resource: under which name calls are counted.
    :param handler: what answers; it may raise SalesforceError.
    """

    async def endpoint(request: Request) -> Response:
        org: Org = request.app.state.org
        if len(str(request.url)) > MAX_URI:
            return PlainTextResponse("<h1>Bad Message 414</h1><pre>reason: URI Too Long</pre>", status_code=414)
        try:
            call = Call(org, request, _version(request), await request.body())
            _admit(org, request, resource)
            response = await run_in_threadpool(handler, call)
        except SalesforceError as error:
            response = JSONResponse(error.body(), status_code=error.status)
        except Exception:
            log.exception("%s %s", request.method, request.url.path)
            text = "An unexpected error occurred. Please include this ErrorId if you contact support: 0-0 (0)"
            response = JSONResponse(SalesforceError("UNKNOWN_EXCEPTION", text).body(), status_code=500)
        used = org.usage.used(at=org.store.clock)
        response.headers["Sforce-Limit-Info"] = f"api-usage={used}/{org.usage.maximum}"
        return response

    return endpoint


def _version(request: Request) -> str:
    version = str(request.path_params.get("version", versions()[-1]))
    if version not in versions():
        raise not_found()
    return version


def _admit(org: Org, request: Request, resource: str) -> None:
    """Count a call, or refuse it."""
    if not org.sessions.is_open(token_of(request)):
        raise session_invalid()
    now = org.store.clock
    if org.usage.used(at=now) >= org.usage.maximum:
        raise request_limit_exceeded()
    org.usage.count(resource, at=now)


def whole_number(text: str | None, *, name: str, low: int, high: int) -> int | None:
    """Read a number from a query string.

    :param text: what was given, or None.
    :param name: the parameter's name, for the error.
    :param low: the least that is allowed.
    :param high: the most that is allowed.
    :raises SalesforceError: if it is no such number.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 16 and low <= int(text) <= high):
        raise SalesforceError("INVALID_PARAMETER", f"{name} must be a whole number from {low} to {high}, not {text!r}")
    return int(text)


def json_answer(content: Any, *, status: int = 200) -> Response:
    """Return a JSON answer.

    :param content: what to write.
    :param status: the HTTP status.
    """
    return JSONResponse(content, status_code=status, media_type="application/json;charset=UTF-8")
