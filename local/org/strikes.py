"""What a fault does to one request: ASGI apps that stand in for the org, or around it."""

from __future__ import annotations

import asyncio
import base64
import csv
import html
import io
import json
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Keys of a request's scope that tell the org's own handlers of a fault.
PAGE, JOB_END, JOB_SECONDS, SKEW = "sim.page", "sim.job_end", "sim.job_seconds", "sim.skew"

_HTML = "<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"

_SOAP_FAULT = (
    '<?xml version="1.0"?><e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns:sf="urn:fault.partner.soap.sforce.com"><e:Body><e:Fault><detail><sf:LoginFault><sf:exceptionCode>INVALID_LOGIN'
    "</sf:exceptionCode><sf:exceptionMessage>{said}</sf:exceptionMessage></sf:LoginFault></detail></e:Fault></e:Body>"
    "</e:Envelope>"
)

#: Changes a whole body; may change the headers too.
Rewrite = Callable[[MutableHeaders, bytes], bytes]


def answer(status: int, code: str, message: str, body: str | None, retry_after: str | None) -> ASGIApp:
    """Return an app that answers in the org's stead.

    :param status: HTTP status.
    :param code: Salesforce's error code; '' for an HTML page.
    :param message: the text a person reads.
    :param body: the whole body instead.
    :param retry_after: value of the Retry-After header, if any.
    """
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    if body is not None:
        return Response(body, status_code=status, headers=headers)
    if not code:
        return HTMLResponse(_HTML.format(title=message or f"{status} Error"), status_code=status, headers=headers)
    return JSONResponse([{"message": message, "errorCode": code}], status_code=status, headers=headers)


def echo(status: int, style: str) -> ASGIApp:
    """Return an app that answers with an error which repeats the request.

    :param status: HTTP status.
    :param style: shape of the error: rest, oauth or soap.
    """

    async def repeated(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        headers = "; ".join(f"{name}={value}" for name, value in request.headers.items())
        said = f"{body.decode()} | {base64.b64encode(body).decode()} | {headers} | {request.url}"
        found: Any = [{"errorCode": "INSUFFICIENT_ACCESS", "message": said}]
        if style == "soap":
            await Response(_SOAP_FAULT.format(said=html.escape(said)), status_code=status)(scope, receive, send)
            return
        if style == "oauth":
            found = {"error": "invalid_grant", "error_description": said}
        await JSONResponse(found, status_code=status)(scope, receive, send)

    return repeated


def drop(app: ASGIApp, *, after: float | None) -> ASGIApp:
    """Return an app that closes the connection.

    :param app: the org.
    :param after: share of the body that is sent first; None: not even a status line.
    """

    async def dropped(scope: Scope, receive: Receive, send: Send) -> None:
        if after is not None:
            start, body = await _whole(app, scope, receive)
            MutableHeaders(raw=start["headers"])["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body[: int(len(body) * after)], "more_body": True})
        await _close(receive)

    return dropped


def hang(seconds: float) -> ASGIApp:
    """Return an app that says nothing until the client gives up.

    :param seconds: the longest that it says nothing.
    """

    async def hanging(_scope: Scope, receive: Receive, _send: Send) -> None:
        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        try:
            await asyncio.wait_for(until_gone(), seconds)
        except TimeoutError:
            await _close(receive)

    return hanging


def slow(app: ASGIApp, seconds: float) -> ASGIApp:
    """Return an app that lets the org answer after a while.

    :param app: the org.
    :param seconds: how long it says nothing.
    """

    async def later(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(seconds)
        await app(scope, receive, send)

    return later


def truncate(app: ASGIApp, *, keep: float, packed: bool) -> ASGIApp:
    """Return an app that sends the first part of the body as if it were all of it.

    :param app: the org.
    :param keep: share of the body that is sent.
    :param packed: cut the gzip stream instead of the text.
    """

    def cut(_headers: MutableHeaders, body: bytes) -> bytes:
        return body[: int(len(body) * keep)]

    return _rewritten(app, cut, plain=not packed)


def lose(app: ASGIApp, *, rows: int) -> ASGIApp:
    """Return an app that leaves the last records of a page out without saying so.

    :param app: the org.
    :param rows: how many.
    """

    def without(headers: MutableHeaders, body: bytes) -> bytes:
        if headers.get("content-type", "").startswith("text/csv"):
            records = list(csv.reader(io.StringIO(body.decode(), newline="")))
            kept = records[: max(1, len(records) - rows)]
            headers["Sforce-NumberOfRecords"] = str(len(kept) - 1)
            csv.writer(text := io.StringIO(), quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(kept)
            return text.getvalue().encode()
        page = json.loads(body)
        page["records"] = page["records"][:-rows]
        return json.dumps(page).encode()

    return _rewritten(app, without, plain=True)


def replace(app: ASGIApp, *, texts: Mapping[str, str]) -> ASGIApp:
    """Return an app that puts other bytes in the place of some.

    :param app: the org.
    :param texts: what is sought → what is put there, a byte a character (Latin-1).
    """

    def other(_headers: MutableHeaders, body: bytes) -> bytes:
        for sought, put in texts.items():
            body = body.replace(sought.encode("latin-1"), put.encode("latin-1"))
        return body

    return _rewritten(app, other, plain=True)


def miscount(app: ASGIApp, *, by: int) -> ASGIApp:
    """Return an app that adds to what a COUNT() query finds.

    :param app: the org.
    :param by: how much; may be negative.
    """

    def added(_headers: MutableHeaders, body: bytes) -> bytes:
        found: dict[str, Any] = json.loads(body)
        return json.dumps({**found, "totalSize": max(0, found["totalSize"] + by)}).encode()

    return _rewritten(app, added, plain=True)


def _rewritten(app: ASGIApp, rewrite: Rewrite, *, plain: bool) -> ASGIApp:
    async def changed(scope: Scope, receive: Receive, send: Send) -> None:
        if plain:
            kept = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]
            scope = {**scope, "headers": kept}
        start, body = await _whole(app, scope, receive)
        headers = MutableHeaders(raw=start["headers"])
        if start["status"] < 300:
            body = rewrite(headers, body)
        headers["content-length"] = str(len(body))
        await send(start)
        await send({"type": "http.response.body", "body": body})

    return changed


async def _whole(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """What an app answers: its start, headers as a list, and its whole body."""
    parts: list[bytes] = []
    starts: list[Message] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            starts.append({**message, "headers": list(Headers(raw=message.get("headers", ())).raw)})
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, keep)
    return starts[0], b"".join(parts)


async def _close(receive: Receive) -> None:
    """Close the connection that a request came on, as no ASGI message can: what was sent before still arrives."""
    transport = receive.__self__.transport  # type: ignore[attr-defined]  # uvicorn's cycle of request and response
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
