"""The client retries what passes, logs in again once, stops at what stays, and tells nobody a secret."""

from __future__ import annotations

import gzip
import io
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

import pytest
import requests
from simple_salesforce.exceptions import SalesforceAuthenticationFailed

from include.salesforce import errors
from include.salesforce.client import SalesforceClient
from include.salesforce.http import CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, http_session
from local.org.handle import OrgHandle

EXPIRED = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
UNAVAILABLE = [{"message": "down for maintenance", "errorCode": "SERVER_UNAVAILABLE"}]


def whole(body: BinaryIO, headers: Mapping[str, str]) -> bytes:
    return body.read()


# ---------------------------------------------------------------------- a real org


@pytest.mark.parametrize("kind", ["client_credentials", "password", "jwt"])
def test_every_kind_of_login_leads_to_the_org(
    shared_org: OrgHandle, client_of: Callable[..., SalesforceClient], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(shared_org, kind)
    assert client.org_id == shared_org.org_id
    assert client.count("SELECT COUNT() FROM User WHERE Id != null", include_deleted=False, what="counting") >= 500
    assert ("SOAP login" in caplog.text) == (kind == "password")


def test_the_org_tells_the_time_and_its_usage(
    shared_org: OrgHandle, client_of: Callable[..., SalesforceClient]
) -> None:
    client = client_of(shared_org)
    assert client.now == shared_org.clock
    assert client.clock() == datetime(2026, 1, 5, 6, tzinfo=UTC)
    assert client.api_calls == 2
    assert client.api_usage_percent is not None
    assert client.bytes_received > 0


def test_a_session_that_expires_is_renewed(own_org: OrgHandle, client_of: Callable[..., SalesforceClient]) -> None:
    client = client_of(own_org)
    client.clock()
    own_org.expire_sessions()
    client.clock()
    assert client.api_calls == 3


def test_a_wrong_secret_is_refused_at_once(shared_org: OrgHandle, client_of: Callable[..., SalesforceClient]) -> None:
    client = client_of(shared_org, consumer_secret="not-the-secret-at-all")
    with pytest.raises(errors.CredentialsRefused, match="Check the Airflow connection") as caught:
        client.clock()
    assert "not-the-secret-at-all" not in str(caught.value)


def test_an_org_without_requests_left_is_not_hammered(
    own_org: OrgHandle, client_of: Callable[..., SalesforceClient]
) -> None:
    client = client_of(own_org)
    client.clock()
    own_org.set_limits(used=15_000, maximum=15_000)
    with pytest.raises(errors.ApiLimitReached, match="24 hours"):
        client.clock()
    assert client.api_calls == 2


def test_an_untrusted_certificate_is_named_as_such(
    shared_org: OrgHandle, client_of: Callable[..., SalesforceClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(shared_org)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(errors.SourceUnavailable, match="REQUESTS_CA_BUNDLE"):
        client.clock()


# ---------------------------------------------------------------------- scripted answers


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, "<html><title>Internal error</title></html>"),
        (502, None),
        (503, UNAVAILABLE),
        (400, UNAVAILABLE),
        (200, "{cut"),
    ],
)
def test_what_may_pass_is_tried_again_with_growing_waits(scripted: Any, status: int, body: Any) -> None:
    for _ in range(3):
        scripted.answer(status, raw=body.encode()) if isinstance(body, str) else scripted.answer(status, body)
    scripted.answer(200, {"fine": True})
    assert scripted.client().get_json("x", what="testing") == {"fine": True}
    assert len(scripted.asked) == 4
    assert all(low <= wait <= low + 1 for low, wait in zip((2, 4, 8), scripted.slept, strict=True))


def test_a_dropped_connection_is_tried_again(scripted: Any) -> None:
    scripted.drop().answer(200, {"fine": True})
    assert scripted.client().get_json("x", what="testing") == {"fine": True}


def test_retries_end_with_the_last_reason_and_a_remedy(scripted: Any) -> None:
    for _ in range(4):
        scripted.answer(503, UNAVAILABLE)
    with pytest.raises(errors.SourceUnavailable, match=r"down for maintenance.*Tried 4 times.*status\.salesforce\.com"):
        scripted.client().get_json("x", what="testing")
    assert len(scripted.asked) == 4


@pytest.mark.parametrize(
    ("headers", "wait"), [({}, 60.0), ({"Retry-After": "7"}, 7.0), ({"Retry-After": "86400"}, 600.0)]
)
def test_a_rate_limit_is_waited_out(scripted: Any, headers: dict[str, str], wait: float) -> None:
    scripted.answer(429, [{"message": "slow down", "errorCode": "TOO_MANY"}], headers).answer(200, {})
    scripted.client().get_json("x", what="testing")
    assert scripted.slept == [wait]


def test_too_many_requests_at_once_pass_but_a_days_worth_does_not(scripted: Any) -> None:
    at_once = {
        "message": "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
        "errorCode": "REQUEST_LIMIT_EXCEEDED",
    }
    scripted.answer(403, [at_once]).answer(200, {})
    scripted.client().get_json("x", what="testing")
    assert scripted.slept == [60.0]
    scripted.answer(403, [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}])
    with pytest.raises(errors.ApiLimitReached):
        scripted.client().get_json("x", what="testing")


def test_a_session_refused_twice_ends_the_request(scripted: Any) -> None:
    scripted.answer(401, EXPIRED).answer(401, EXPIRED)
    with pytest.raises(errors.SessionLost, match="straight after a new login"):
        scripted.client().get_json("x", what="testing")
    assert (scripted.logins, scripted.slept) == (2, [])


def test_each_request_may_log_in_again(scripted: Any) -> None:
    client = scripted.answer(401, EXPIRED).answer(200, {}).answer(401, EXPIRED).answer(200, {}).client()
    client.get_json("x", what="testing")
    client.get_json("y", what="testing")
    assert scripted.logins == 3


CASES: list[tuple[int, str, type[errors.SalesforceProblem]]] = [
    (400, "INVALID_FIELD", errors.QueryRefused),
    (400, "MALFORMED_QUERY", errors.QueryRefused),
    (414, "", errors.QueryRefused),
    (400, "INVALID_TYPE", errors.ObjectMissing),
    (404, "NOT_FOUND", errors.ObjectMissing),
    (400, "QUERY_TIMEOUT", errors.QueryTooSlow),
    (500, "QUERY_TIMEOUT", errors.QueryTooSlow),
    (400, "EXCEEDED_ID_LIMIT", errors.QueryTooSlow),
    (400, "INVALID_QUERY_LOCATOR", errors.QueryCursorLost),
    (403, "INSUFFICIENT_ACCESS", errors.PermissionMissing),
    (403, "API_DISABLED_FOR_ORG", errors.PermissionMissing),
    (403, "", errors.PermissionMissing),
    (403, "REQUEST_LIMIT_EXCEEDED", errors.ApiLimitReached),
    (409, "SOMETHING_NEW", errors.SalesforceProblem),
]


@pytest.mark.parametrize(("status", "code", "expected"), CASES)
def test_what_stays_fails_at_once_with_its_remedy(
    scripted: Any, status: int, code: str, expected: type[errors.SalesforceProblem]
) -> None:
    scripted.answer(status, [{"message": "No such column 'X' on entity 'User'.", "errorCode": code}] if code else None)
    with pytest.raises(errors.SalesforceProblem) as caught:
        scripted.client().get_json("x", what="reading User")
    assert type(caught.value) is expected
    assert f"reading User: Salesforce answered {status}" in str(caught.value)
    assert str(caught.value).endswith(caught.value.remedy)
    assert (len(scripted.asked), scripted.slept) == (1, [])


@pytest.mark.parametrize("body", [{"error": "x", "error_description": "said"}, {"errorCode": "X", "message": "said"}])
def test_errors_that_are_no_list_are_read_too(scripted: Any, body: Any) -> None:
    scripted.answer(400, body)
    with pytest.raises(errors.SalesforceProblem, match="said"):
        scripted.client().get_json("x", what="testing")


def test_no_message_carries_a_token_a_secret_or_a_url() -> None:
    token = "00D000000000001!AQcAQH0dMHZfz972Szmpkb58urFRkgeBGsxL_QJWwYMfAbUeeG7c1E"
    text = f"Bearer {token} at https://user:pw@host/x?token={token} client_secret=abc password: hunter2 {token} end"
    cleaned = errors.clean(text)
    for secret in (token, "pw@host", "abc", "hunter2", "AQcA"):
        assert secret not in cleaned
    assert cleaned.endswith("end")


def test_logs_and_errors_do_not_show_the_session(scripted: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="include")
    session_id = "00D000000000001!AQcAQH0dMHZfz972Szmpkb58urFRkgeBGsxL"
    for _ in range(4):
        scripted.answer(503, [{"message": f"session {session_id} is stuck", "errorCode": "SERVER_UNAVAILABLE"}])
    with pytest.raises(errors.SourceUnavailable) as caught:
        scripted.client().get_json("x", what="testing")
    assert scripted.asked[0][2]["Authorization"] == f"Bearer {session_id}"
    assert session_id not in caplog.text + str(caught.value)


def test_usage_is_read_whatever_else_the_header_says(scripted: Any) -> None:
    said = "api-usage=25/5000; per-app-api-usage=17/250(appName=sample-connected-app)"
    client = scripted.answer(200, {}, {"Sforce-Limit-Info": said}).client()
    client.get_json("x", what="testing")
    assert client.api_usage_percent == 0.5


def test_an_org_id_that_the_session_does_not_tell_is_asked_for(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = scripted.answer(200, {"records": [{"Id": "00Dx0000000BV7zEAG"}]}).client()
    monkeypatch.setattr(client._login, "org_id", lambda: None)
    assert client.org_id == "00Dx0000000BV7zEAG"


@pytest.mark.parametrize("path", ["//evil.example/x", "https://evil.example/x", "@evil.example/x", "/@evil.example/x"])
def test_no_path_leads_to_another_host(scripted: Any, path: str) -> None:
    scripted.answer(200, {"fine": True})
    assert scripted.client().get_json(path, what="testing") == {"fine": True}


# ---------------------------------------------------------------------- downloads


def packed(content: bytes) -> bytes:
    return gzip.compress(content)


@pytest.mark.parametrize("cut", [1, 9, 30])
def test_a_truncated_gzip_body_is_downloaded_again(scripted: Any, cut: int) -> None:
    content = packed(b"id\n" + bytes(range(256)) * 40)
    gz = {"Content-Encoding": "gzip"}
    scripted.answer(200, raw=content[:-cut], headers=gz).answer(200, raw=content, headers=gz)
    client = scripted.client()
    assert client.download("x", what="testing", read=whole) == gzip.decompress(content)
    assert client.bytes_received == len(content)


def test_a_body_shorter_than_announced_is_downloaded_again(scripted: Any) -> None:
    scripted.answer(200, raw=b"half", headers={"Content-Length": "8"}).answer(200, raw=b"complete")
    assert scripted.client().download("x", what="testing", read=whole) == b"complete"


def test_a_body_that_its_reader_finds_incomplete_is_downloaded_again(scripted: Any) -> None:
    scripted.answer(200, raw=b"bad").answer(200, raw=b"good")

    def picky(body: BinaryIO, headers: Mapping[str, str]) -> bytes:
        content = body.read()
        if content == b"bad":
            raise errors.Unavailable("testing: not whole.")
        return content

    assert scripted.client().download("x", what="testing", read=picky) == b"good"


# ---------------------------------------------------------------------- logins that fail


@pytest.mark.parametrize(
    ("raised", "expected", "logins"),
    [
        (SalesforceAuthenticationFailed("invalid_grant", "authentication failure"), errors.CredentialsRefused, 1),
        (SalesforceAuthenticationFailed("INVALID_LOGIN", "Invalid username"), errors.CredentialsRefused, 1),
        (SalesforceAuthenticationFailed("sf:REQUEST_LIMIT_EXCEEDED", "Limit"), errors.ApiLimitReached, 1),
        (SalesforceAuthenticationFailed("sf:SERVER_UNAVAILABLE", None), errors.SourceUnavailable, 4),
        (SalesforceAuthenticationFailed(503, "<html>"), errors.SourceUnavailable, 4),
        (requests.ConnectionError("https://user:pw@host"), errors.SourceUnavailable, 4),
        (requests.ReadTimeout(), errors.SourceUnavailable, 4),
    ],
)
def test_a_login_is_tried_again_only_where_that_may_help(
    raised: Exception, expected: type[Exception], logins: int
) -> None:
    tried: list[int] = []

    def connect() -> Any:
        tried.append(1)
        raise raised

    with pytest.raises(expected) as caught:
        SalesforceClient(connect, sleep=lambda _: None).clock()
    assert len(tried) == logins
    assert "pw@host" not in str(caught.value)


def test_every_request_has_timeouts_unless_it_brings_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        seen.append(kwargs["timeout"])
        response = requests.Response()
        response.status_code, response.raw, response.url = 200, io.BytesIO(), request.url
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
    session = http_session()
    session.get("https://127.0.0.1/x")
    session.get("https://127.0.0.1/x", timeout=1)
    assert seen == [(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS), 1]
    assert (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS) == (10, 300)
