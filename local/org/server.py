"""The org's server: its routes, and running them over TLS on loopback."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from local.org import api_auth, api_bulk, api_rest, control
from local.org.errors import SalesforceError, method_not_allowed, not_found
from local.org.home import Home, write_private
from local.org.http_seams import FaultSeam, OrgDate
from local.org.org import Org, open_org

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


class AlreadyRunning(RuntimeError):
    """Another server runs over the same home."""


async def _no_route(request: Request, error: Exception) -> Response:
    answer: SalesforceError = not_found()
    if getattr(error, "status_code", 404) == 405:
        answer = method_not_allowed(request.method)
    return JSONResponse(answer.body(), status_code=answer.status)


def create_app(org: Org) -> Starlette:
    """Return the ASGI app of an org.

    :param org: the open org.
    """
    app = Starlette(
        routes=[*api_auth.routes(), *api_bulk.routes(), *api_rest.routes(), *control.routes()],
        middleware=[
            Middleware(OrgDate, org=org),
            Middleware(FaultSeam, org=org),
            Middleware(GZipMiddleware, minimum_size=500, compresslevel=3),
        ],
        exception_handlers={404: _no_route, 405: _no_route},
    )
    app.router.redirect_slashes = False
    app.state.org = org
    return app


@contextlib.contextmanager
def _only_one(home: Home) -> Iterator[None]:
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with home.lock.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"an org runs over {home.root} already; stop it, or choose another --home") from None
        yield


def _listen(home: Home, port: int | None) -> socket.socket:
    """Bind: to the port that was asked for, else to the one used last time here, else to any."""
    last = (home.read_info() or {}).get("port", 0)
    wanted = [port] if port is not None else [last, 0]
    for number in wanted:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, number))
        except OSError:
            bound.close()
            if number == wanted[-1]:
                raise
        else:
            return bound
    raise AssertionError("unreachable: the last port is bound or raises")


def _write_info(org: Org, port: int) -> None:
    info = {
        "url": org.instance_url,
        "port": port,
        "pid": os.getpid(),
        "org_id": org.credentials.org_id,
        "ca_bundle": str(org.home.ca_bundle.resolve()),
        "control_token": org.credentials.control_token,
    }
    write_private(org.home.info, json.dumps(info, indent=1).encode())


def _stop_with_input() -> None:
    """End this process in an orderly way when its standard input closes."""

    def wait() -> None:
        # Not sys.stdin: a thread that waits within its buffer's lock would break the interpreter's exit.
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _exit(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def serve(*, home: Path, port: int | None = None, stop_with_input: bool = False) -> None:
    """Serve the org of a folder until SIGTERM or SIGINT.

    :param home: the folder; made if it is not there.
    :param port: the port on loopback; 0 for any; None for the one that was used last here.
    :param stop_with_input: end when standard input closes, that is when the process that started this one ends.
    :raises AlreadyRunning: if another server runs over this home.
    :raises OSError: if the port cannot be bound.
    """
    place = Home(home)
    os.umask(0o077)
    with _only_one(place):
        org = open_org(place)
        bound = _listen(place, port)
        number = int(bound.getsockname()[1])
        org.address = f"{HOST}:{number}"
        config = uvicorn.Config(
            create_app(org),
            ssl_certfile=place.certificate,
            ssl_keyfile=place.private_key,
            log_level="warning",
            access_log=False,
            date_header=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        _write_info(org, number)
        log.info("org %s listens on %s", org.credentials.org_id, org.instance_url)
        if stop_with_input:
            _stop_with_input()
        # uvicorn raises the signal that ended it once more; this makes that an orderly exit too.
        signal.signal(signal.SIGTERM, _exit)
        try:
            uvicorn.Server(config).run(sockets=[bound])
        finally:
            org.close()
            bound.close()
