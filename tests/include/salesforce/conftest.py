"""A real simulated org over TLS, and a scripted one for answers that no org gives on request."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from simple_salesforce import Salesforce

from include.salesforce.client import SalesforceClient
from include.salesforce.http import http_session
from include.staging.manifest import Window
from local.org.handle import OrgHandle, start_org

T0 = datetime(2026, 1, 5, tzinfo=UTC)
T6 = datetime(2026, 1, 5, 6, tzinfo=UTC)
SESSION_ID = "00D000000000001!AQcAQH0dMHZfz972Szmpkb58urFRkgeBGsxL"

#: What a careless reader of CSV, JSON or SQL trips over.
NASTY = [
    "line one\nline two",
    "carriage\r\nreturn",
    'say "quoted", please',
    "comma, semicolon; tab\tend",
    "Ünïcödé 東京 👩‍👩‍👧‍👦 🇩🇪",
    "\u202eright to left\u202c עברית",
    "'; DROP TABLE users; --",
    "NULL",
    "null",
    "true",
    "  spaces around  ",
    "\\n is not a newline",
    '"',
    "#N/A",
    "2026-01-05",
    "0012",
]


def user_events(count: int, *, first: int = 0) -> Iterator[dict[str, Any]]:
    """Inserts of users: nasty names in turn, some fields empty, three to a second."""
    for number in range(first, first + count):
        second = number // 3
        at = f"2026-01-05T{second // 3600 % 24:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"
        fields = {
            "Name": f"{number:06d} {NASTY[number % len(NASTY)]}",
            "Division": [None, "North", "South", "", 'East, "far"'][number % 5],
            "Audit_Phase__c": [None, "Phase1", "Complete"][number % 3],
            "IsActive": number % 2 == 0,
        }
        yield {"at": at, "op": "insert", "object": "User", "Id": user_id(number), "fields": fields}


def user_id(number: int) -> str:
    return f"005{number:012d}AAA"


def load(org: OrgHandle, *events: dict[str, Any]) -> None:
    """Load events into an org by way of a scenario file."""
    path = org.home.root / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    org.load_events(path)


@pytest.fixture(scope="session")
def shared_org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrgHandle]:
    """An org with 500 users and some accounts that no test changes."""
    folder = tmp_path_factory.mktemp("shared_org")
    accounts = [
        {
            "at": f"2026-01-05T01:{number:02d}:00Z",
            "op": "insert",
            "object": "Account",
            "Id": f"001{number:012d}AAA",
            "fields": {"Name": f"Account {number}", "Industry": NASTY[number % len(NASTY)], "OwnerId": user_id(number)},
        }
        for number in range(40)
    ]
    gone = [
        {"at": "2026-01-05T02:00:00Z", "op": "delete", "object": "Account", "Id": f"001{number:012d}AAA"}
        for number in range(5)
    ]
    path = folder / "scenario.jsonl"
    lines = [*user_events(500), *accounts, *gone]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with start_org(folder / "org") as org:
        org.load_events(path)
        org.set_clock(T6)
        yield org


@pytest.fixture
def own_org(tmp_path: Path) -> Iterator[OrgHandle]:
    """An empty org of the test's own, at six o'clock."""
    with start_org(tmp_path / "org") as org:
        org.set_clock(T6)
        yield org


@pytest.fixture
def client_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., SalesforceClient]:
    """Makes clients of an org; they do not sleep but note what they would have slept in `slept`."""

    def made(org: OrgHandle, kind: str = "client_credentials", **changed: Any) -> SalesforceClient:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(org.ca_bundle))
        connection = org.connection(kind)
        extra = connection["extra"] | changed
        arguments = {
            "username": connection.get("login"),
            "password": connection.get("password"),
            "security_token": extra.get("security_token"),
            "domain": extra["domain"],
            "consumer_key": extra.get("consumer_key"),
            "consumer_secret": extra.get("consumer_secret"),
            "privatekey_file": extra.get("private_key_file_path"),
            "version": extra["version"],
        }
        return SalesforceClient(lambda: Salesforce(session=http_session(), **arguments))

    return made


def window(*, full: bool = False, start: datetime = T0, end: datetime = T6) -> Window:
    """A window of the shared org's first six hours."""
    return Window(start=None if full else start, end=end, kind="scheduled", full_refresh=full, reason="a test")


class ScriptedOrg:
    """A TLS server that gives the answers it was told to, in order, and keeps what it was asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.logins = 0
        self.slept: list[float] = []

    def answer(
        self, status: int, body: Any = None, headers: dict[str, str] | None = None, *, raw: bytes | None = None
    ) -> ScriptedOrg:
        """Add one answer: JSON, or raw bytes with whatever headers they come with."""
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()

        def send(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response_only(status)
            sent = {"Content-Length": str(len(content)), "Date": "Mon, 05 Jan 2026 06:00:00 GMT", **(headers or {})}
            for name, value in sent.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(content)
            handler.close_connection = True

        self.answers.append(send)
        return self

    def drop(self) -> ScriptedOrg:
        """Add a connection that is closed without an answer."""

        def close(handler: BaseHTTPRequestHandler) -> None:
            handler.close_connection = True

        self.answers.append(close)
        return self

    def client(self, **options: Any) -> SalesforceClient:
        """A client of this server; it notes its waits in `slept` and its logins in `logins`."""

        def connect() -> Salesforce:
            self.logins += 1
            return Salesforce(
                session_id=SESSION_ID, instance=f"127.0.0.1:{self.port}", session=http_session(), version="59.0"
            )

        return SalesforceClient(connect, sleep=self.slept.append, **options)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def scripted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedOrg]:
    """A scripted org; a request that finds no answer left gets a 418."""
    bundle = tmp_path / "scripted-ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            org.asked.append((self.command, self.path, {**dict(self.headers), "body": body}))
            if org.answers:
                org.answers.pop(0)(self)
            else:
                self.send_error(418)

        do_GET = do_POST = do_PATCH = do_DELETE = _any  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    org = ScriptedOrg(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield org
    server.shutdown()
    server.server_close()
    thread.join()
