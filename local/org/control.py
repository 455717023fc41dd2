"""The control API: how scripts and tests move the org's clock, load events, set its limits and its faults.

It is no part of Salesforce: it has its own token, counts no API call, and no fault plan touches it.
"""

from __future__ import annotations

import hmac
import json
import tempfile
from collections.abc import Awaitable, Callable
from typing import IO, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.org import timestamps
from local.org.http_seams import CONTROL_PREFIX
from local.org.org import Org
from local.org.scenario import ScenarioError, iter_events
from local.org.schema import SchemaError

CONTROL_HEADER = "X-Sim-Control-Token"
SOURCE_HEADER = "X-Sim-Source"

Action = Callable[[Org, dict[str, Any]], dict[str, Any]]


class ControlError(ValueError):
    """A control request that cannot be followed."""


def _get_clock(org: Org, _body: dict[str, Any]) -> dict[str, Any]:
    return {"clock": timestamps.iso(org.store.clock)}


def _set_clock(org: Org, body: dict[str, Any]) -> dict[str, Any]:
    touched = org.store.set_clock(timestamps.parse(_text(body, "clock")))
    return {"clock": timestamps.iso(org.store.clock), "records_touched": touched}


def _stats(org: Org, _body: dict[str, Any]) -> dict[str, Any]:
    return org.stats()


def _set_limits(org: Org, body: dict[str, Any]) -> dict[str, Any]:
    values = {}
    for key in ("used", "maximum"):
        value = body.get(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
            raise ControlError(f"{key}: {value!r} is not a number of API calls, zero or more")
        values[key] = value
    org.usage.set(at=org.store.clock, **values)
    return {"used": org.usage.used(at=org.store.clock), "maximum": org.usage.maximum}


def _expire_sessions(org: Org, _body: dict[str, Any]) -> dict[str, Any]:
    return {"expired": org.sessions.expire()}


def _get_faults(org: Org, _body: dict[str, Any]) -> dict[str, Any]:
    return {"faults": org.fault_plan.report()}


def _set_faults(org: Org, body: dict[str, Any]) -> dict[str, Any]:
    rules = body.get("faults")
    if not isinstance(rules, list):
        raise ControlError(f"faults: {rules!r} is not a list of rules")
    org.fault_plan.set(rules)
    return _get_faults(org, body)


def _change_schema(org: Org, body: dict[str, Any]) -> dict[str, Any]:
    definition = body.get("field")
    if not isinstance(definition, dict):
        raise ControlError(f'field: {definition!r} is not an object such as {{"name": "Division"}}')
    org.change_schema(action=_text(body, "action"), sobject=_text(body, "object"), definition=definition)
    return {"drift": org.schema.drift}


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise ControlError(f"{key}: {value!r} is not a string")
    return value


def _allowed(request: Request) -> bool:
    given = request.headers.get(CONTROL_HEADER, "")
    org: Org = request.app.state.org
    return hmac.compare_digest(given.encode(), org.credentials.control_token.encode())


def _refused() -> Response:
    return JSONResponse({"error": f"send the control token of org.json as {CONTROL_HEADER}"}, status_code=403)


def _endpoint(action: Action) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not _allowed(request):
            return _refused()
        try:
            raw = await request.body()
            body = json.loads(raw) if raw else {}
            if not isinstance(body, dict):
                raise ControlError("the body is not a JSON object")
            return JSONResponse(await run_in_threadpool(action, request.app.state.org, body))
        except (ControlError, SchemaError, ValueError) as error:
            return JSONResponse({"error": str(error)}, status_code=400)

    return endpoint


async def _load_events(request: Request) -> Response:
    if not _allowed(request):
        return _refused()
    with tempfile.TemporaryFile() as spooled:
        async for chunk in request.stream():
            await run_in_threadpool(spooled.write, chunk)
        spooled.seek(0)
        source = request.headers.get(SOURCE_HEADER, "events")
        try:
            return JSONResponse(await run_in_threadpool(_load, request.app.state.org, spooled, source))
        except ScenarioError as error:
            return JSONResponse({"error": str(error), "problems": error.problems}, status_code=400)


def _load(org: Org, lines: IO[bytes], source: str) -> dict[str, Any]:
    read, new = org.store.add_events(iter_events(lines, source=source, schema=org.schema))
    return {"read": read, "new": new}


def routes() -> list[Route]:
    """Return the control API's routes."""
    table: list[tuple[str, str, Action]] = [
        ("GET", "clock", _get_clock),
        ("PUT", "clock", _set_clock),
        ("GET", "stats", _stats),
        ("PUT", "limits", _set_limits),
        ("POST", "sessions/expire", _expire_sessions),
        ("POST", "schema", _change_schema),
        ("GET", "faults", _get_faults),
        ("PUT", "faults", _set_faults),
    ]
    found = [Route(f"{CONTROL_PREFIX}{path}", _endpoint(action), methods=[method]) for method, path, action in table]
    return [*found, Route(f"{CONTROL_PREFIX}events", _load_events, methods=["POST"])]
