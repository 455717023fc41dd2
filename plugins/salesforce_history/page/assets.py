"""The page's own files: index.html and what it loads, all served from here, and the headers that keep others out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path

from fastapi import APIRouter, Request, Response

from include.page.answers import NotThere

FOLDER = Path(__file__).resolve().parent / "assets"

#: What a browser may load for the page, and who may frame it: Airflow alone.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}

router = APIRouter()


async def guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Give every answer the headers that keep it from being framed, sniffed or kept by others."""
    response = await call_next(request)
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers.setdefault("Cache-Control", "no-store")
    return response


@router.get("/")
def index(request: Request) -> Response:
    """The page."""
    return _file("index.html", request)


@router.get("/assets/{path:path}")
def asset(path: str, request: Request) -> Response:
    """A file that the page loads."""
    return _file(path, request)


def _file(path: str, request: Request) -> Response:
    try:
        file = (FOLDER / path).resolve()
        kind = _TYPES.get(file.suffix) if file.is_relative_to(FOLDER) and file.is_file() else None
    except (OSError, ValueError):  # too long a name, a null byte
        kind = None
    if kind is None:
        raise NotThere(
            f"The page has no file {path!r:.200}.", remedy="Reload the page; the package may have been upgraded."
        )
    content = file.read_bytes()
    # Asked for anew each time, sent only when it has changed: an upgrade shows at once.
    headers = {"ETag": f'"{sha256(content).hexdigest()[:32]}"', "Cache-Control": "private, no-cache"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
