"""What the product says to AWS: a loopback proxy in front of moto that writes each request down, and can spoil some.

pyarrow speaks to S3 in C++ and boto3 to Glue in Python, so that the wire is the one place where both are heard.
"""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

#: Not passed on: they are about one connection, or are counted anew.
_OF_THE_CONNECTION = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}
#: An action of S3 by method, where nothing in the query says otherwise.
_OBJECT_ACTIONS = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}


@dataclass(frozen=True)
class Request:
    """One request, as IAM would judge it.

    :param operation: `GetTable`, `HeadObject`, `ListObjectsV2` …
    :param actions: what a role must be allowed to do for it.
    :param resource: `bucket/key`, `bucket`, or the table's or database's name.
    :param prefix: of a listing.
    :param headers: lower-cased names.
    """

    operation: str
    actions: tuple[str, ...]
    resource: str
    prefix: str | None = None
    headers: dict[str, str] = field(default_factory=dict, compare=False)


#: Told of a request; what is to become of it. None: nothing.
Fault = Callable[[Request], "Spoiled | None"]


@dataclass(frozen=True)
class Spoiled:
    """What becomes of a request instead of an answer.

    :param status: of the answer; 0: the connection ends without one.
    :param body: of the answer.
    :param content_type: of the answer.
    :param accepted: AWS does it all the same; only the answer is lost.
    """

    status: int = 0
    body: bytes = b""
    content_type: str = "application/x-amz-json-1.1"
    accepted: bool = False


#: The answer to a call of Glue is lost on its way; the call was done.
ANSWER_LOST = Spoiled(accepted=True)
SLOW_DOWN = Spoiled(
    503,
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>",
    "application/xml",
)


def glue_error(code: str, message: str) -> Spoiled:
    """An error as Glue answers it.

    :param code: `ThrottlingException` …
    :param message: its text.
    """
    return Spoiled(400, f'{{"__type": "{code}", "Message": "{message}"}}'.encode())


def first(count: int, operation: str, spoiled: Spoiled, *, about: str = "") -> Fault:
    """A fault of the first few requests of a kind.

    :param count: how many.
    :param operation: of this kind.
    :param spoiled: what becomes of them.
    :param about: only where this is part of the resource.
    """
    left = [count]
    taken = threading.Lock()

    def fault(request: Request) -> Spoiled | None:
        with taken:
            if request.operation != operation or about not in request.resource or not left[0]:
                return None
            left[0] -= 1
            return spoiled

    return fault


class Wire:
    """The proxy: requests since the last `listen`, and the faults in force."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.endpoint = ""
        self._requests: list[Request] = []
        self._faults: list[Fault] = []
        self._taken = threading.Lock()

    def heard(self, request: Request) -> Spoiled | None:
        """Write a request down; what becomes of it."""
        with self._taken:
            self._requests.append(request)
            faults = list(self._faults)
        return next((spoiled for fault in faults if (spoiled := fault(request)) is not None), None)

    @contextmanager
    def listen(self) -> Iterator[list[Request]]:
        """What is said inside of it; the list is filled at its end."""
        with self._taken:
            start = len(self._requests)
        said: list[Request] = []
        yield said
        with self._taken:
            said.extend(self._requests[start:])

    @contextmanager
    def spoiled(self, *faults: Fault) -> Iterator[None]:
        """Faults in force inside of it."""
        self._faults = list(faults)
        try:
            yield
        finally:
            self._faults = []

    @property
    def actions(self) -> Counter[str]:
        """Every action so far, and how often."""
        with self._taken:
            return Counter(action for request in self._requests for action in request.actions)


def count(requests: Iterable[Request]) -> Counter[str]:
    """How often each operation was asked for."""
    return Counter(request.operation for request in requests)


@contextmanager
def start_wire(upstream: str) -> Iterator[Wire]:
    """A proxy in front of an endpoint.

    :param upstream: `http://127.0.0.1:<port>`.
    """
    wire = Wire(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"wire": wire}))
    server.daemon_threads = True
    wire.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wire: Wire

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""

    def _pass_on(self) -> None:
        body = self._body()
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_THE_CONNECTION}
        spoiled = self.wire.heard(_understood(self.command, self.path, self.headers.items(), body))
        if spoiled is not None and not spoiled.accepted:
            self._answer(spoiled.status, {"Content-Type": spoiled.content_type}, spoiled.body)
            return
        upstream = http.client.HTTPConnection(self.wire.upstream, timeout=30)
        try:
            upstream.request(self.command, self.path, body=body, headers=headers)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if spoiled is not None:
            self._answer(0, {}, b"")
            return
        self._answer(answer.status, dict(answer.getheaders()), content)

    # The names are those that http.server calls.
    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        if not status:
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in _OF_THE_CONNECTION:
                self.send_header(name, value)
        # A HEAD has the length of what a GET would have got.
        length = headers.get("Content-Length") or headers.get("content-length") if self.command == "HEAD" else None
        self.send_header("Content-Length", length or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _understood(method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes) -> Request:
    said = {name.lower(): value for name, value in headers}
    if target := said.get("x-amz-target"):
        service, _, operation = target.partition(".")
        names = [part for name in ("DatabaseName", "Name") if (part := _value(body, name))]
        service = {"AWSGlue": "glue"}.get(service, service)
        return Request(operation, (f"{service}:{operation}",), ".".join(names), headers=said)
    split = urlsplit(path)
    query = parse_qs(split.query, keep_blank_values=True)
    resource = unquote(split.path.removeprefix("/"))
    if not resource.partition("/")[2]:
        return _about_bucket(method, resource.rstrip("/"), query, said)
    if "uploadId" in query or "uploads" in query:
        operation = {"POST": "MultipartUpload", "PUT": "UploadPart", "DELETE": "AbortMultipartUpload"}[method]
        action = "s3:AbortMultipartUpload" if method == "DELETE" else "s3:PutObject"
        return Request(operation, (action,), resource, headers=said)
    if source := said.get("x-amz-copy-source"):
        return Request("CopyObject", ("s3:GetObject", "s3:PutObject"), f"{unquote(source)} > {resource}", headers=said)
    return Request(f"{method.title()}Object", (_OBJECT_ACTIONS[method],), resource, headers=said)


def _about_bucket(method: str, bucket: str, query: dict[str, list[str]], said: dict[str, str]) -> Request:
    if method == "POST" and "delete" in query:
        return Request("DeleteObjects", ("s3:DeleteObject",), bucket, headers=said)
    if method == "GET" and ("list-type" in query or "prefix" in query or not query):
        prefix = query.get("prefix", [""])[0]
        return Request("ListObjects", ("s3:ListBucket",), bucket, prefix, headers=said)
    if method == "HEAD":
        return Request("HeadBucket", ("s3:ListBucket",), bucket, headers=said)
    return Request(f"{method} {'&'.join(sorted(query))}", (f"s3:{method}Bucket",), bucket, headers=said)


def _value(body: bytes, name: str) -> str:
    """A text of a JSON body, wherever in it, without minding what a table's definition is like."""
    _, found, rest = body.decode("utf-8", "replace").partition(f'"{name}": "')
    return rest.partition('"')[0] if found else ""
