"""ASGI layers around the org's handlers: the org's own Date on every answer, and the seam for faults."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.org import timestamps
from local.org.org import Org
from local.org.strikes import SKEW

CONTROL_PREFIX = "/sim-control/"


class OrgDate:
    """Puts the org's time into the Date header of every answer: clients take "now" from it.

    :param app: the app within.
    :param org: the org.
    """

    def __init__(self, app: ASGIApp, *, org: Org) -> None:
        self._app = app
        self._org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"date"]
                now = timestamps.http_date(self._org.store.clock + scope.get(SKEW, 0)).encode()
                message = {**message, "headers": [*kept, (b"date", now)]}
            await send(message)

        await self._app(scope, receive, dated)


class FaultSeam:
    """Asks the org's fault plan, for each request but the control API's, who is to answer it.

    :param app: the app within.
    :param org: the org.
    """

    def __init__(self, app: ASGIApp, *, org: Org) -> None:
        self._app = app
        self._org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        app = self._app
        if scope["type"] == "http" and not scope["path"].startswith(CONTROL_PREFIX):
            app = self._org.fault_plan(scope, app)
        await app(scope, receive, send)
