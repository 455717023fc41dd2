"""The fault plan: each kind of fault as a plain client sees it, and rules that strike whom they name."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce

from local.org import faults
from local.org.faults import Fault
from local.org.handle import OrgHandle, OrgRefused
from local.org.ids import numbered
from tests.local.org.conftest import log_in

CLOCK = datetime(2026, 1, 5, 6, tzinfo=UTC)
SELECT = "query/?q=SELECT+Id,Name+FROM+User+ORDER+BY+Id"
COUNT = "query/?q=SELECT+COUNT()+FROM+User"


@pytest.fixture
def struck(org: OrgHandle, live: Callable[..., None]) -> Iterator[OrgHandle]:
    """The module's org with 450 users, at six o'clock, without faults."""
    live(
        *(
            {
                "at": "2026-01-05T01:00:00Z",
                "op": "insert",
                "object": "User",
                "Id": numbered("005", number),
                "fields": {"Name": f"User {number}"},
            }
            for number in range(450)
        )
    )
    org.set_clock(CLOCK)
    org.clear_faults()
    yield org
    org.clear_faults()


def ask(org: OrgHandle, path: str, client: Salesforce | None = None, **request: Any) -> requests.Response:
    client = client or log_in(org)
    headers = {"Authorization": f"Bearer {client.session_id}", **request.pop("headers", {})}
    method = request.pop("method", "GET")
    return client.session.request(method, f"{client.base_url}{path}", headers=headers, timeout=20, **request)


def test_a_rule_strikes_the_requests_that_it_names(struck: OrgHandle) -> None:
    refuse = faults.Answer(status=503, code="SERVER_UNAVAILABLE", message="busy", retry_after="7")
    struck.set_faults([Fault(do=refuse, method="GET", path=faults.QUERY, lacks="COUNT()", nth=2, times=2)])
    client = log_in(struck)
    assert [ask(struck, path, client).status_code for path in (SELECT, COUNT, SELECT, SELECT, SELECT)] == [
        200,
        200,
        503,
        503,
        200,
    ]
    assert struck.faults_struck() == [2]
    struck.set_faults([Fault(do=refuse, times=None, contains="count()")])
    answer = ask(struck, COUNT, client)
    assert answer.json() == [{"message": "busy", "errorCode": "SERVER_UNAVAILABLE"}]
    assert (answer.headers["Retry-After"], answer.headers["Date"]) == ("7", "Mon, 05 Jan 2026 06:00:00 GMT")
    struck.clear_faults()
    assert ask(struck, COUNT, client).json()["totalSize"] == 450


def test_html_and_any_other_body(struck: OrgHandle) -> None:
    struck.set_faults(
        [
            Fault(do=faults.Answer(status=502, message="Bad Gateway"), path=faults.QUERY),
            Fault(do=faults.Answer(status=200, body="not json"), path=faults.QUERY, nth=2),
        ]
    )
    assert "<title>Bad Gateway</title>" in ask(struck, SELECT).text
    assert ask(struck, SELECT).text == "not json"


@pytest.mark.parametrize("after", [None, 0.0, 0.5])
def test_a_dropped_connection(struck: OrgHandle, after: float | None) -> None:
    struck.set_faults([Fault(do=faults.Drop(after=after), path=faults.QUERY)])
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        ask(struck, SELECT)
    assert len(ask(struck, SELECT).json()["records"]) == 450


def test_a_server_that_says_nothing(struck: OrgHandle) -> None:
    struck.set_faults([Fault(do=faults.Hang(seconds=0.2), path=faults.QUERY)])
    with pytest.raises(requests.ConnectionError):
        ask(struck, SELECT)


def test_bodies_that_end_early(struck: OrgHandle) -> None:
    client = log_in(struck)
    whole = ask(struck, SELECT, client, headers={"Accept-Encoding": "identity"}).content
    struck.set_faults(
        [
            Fault(do=faults.Truncate(keep=0.5), path=faults.QUERY),
            Fault(do=faults.Truncate(keep=0.5, packed=True), path=faults.QUERY, nth=2),
        ]
    )
    assert ask(struck, SELECT, client).content == whole[: len(whole) // 2]
    packed = ask(struck, SELECT, client, stream=True).raw.read(decode_content=False)
    with pytest.raises(EOFError):
        gzip.decompress(packed)


def test_rows_that_are_lost_and_counts_that_are_wrong(struck: OrgHandle) -> None:
    struck.set_faults(
        [
            Fault(do=faults.Miscount(by=-3), path=faults.QUERY, contains="COUNT()"),
            Fault(do=faults.Lose(rows=2), path=faults.QUERY, lacks="COUNT()"),
            Fault(do=faults.ShortPage(rows=7), path=faults.QUERY, lacks="COUNT()", nth=2),
        ]
    )
    assert ask(struck, COUNT).json()["totalSize"] == 447
    lossy = ask(struck, SELECT).json()
    assert (len(lossy["records"]), lossy["totalSize"], lossy["done"]) == (448, 450, True)
    short = ask(struck, SELECT).json()
    assert (len(short["records"]), short["totalSize"], short["done"]) == (7, 450, False)


@pytest.mark.parametrize("state", ["Failed", "Aborted", "InProgress"])
def test_a_job_that_does_not_complete(struck: OrgHandle, state: str) -> None:
    error = "InternalServerError : gone" if state == "Failed" else None
    struck.set_faults([Fault(do=faults.EndJob(state=state, error=error), method="POST", path=faults.JOBS)])
    client = log_in(struck)
    query = {"operation": "query", "query": "SELECT Id FROM User"}
    job = ask(struck, "jobs/query", client, method="POST", json=query).json()
    found = ask(struck, f"jobs/query/{job['id']}", client).json()
    assert (found["state"], found.get("errorMessage")) == (state, error)
    if state == "InProgress":
        ask(struck, f"jobs/query/{job['id']}", client, method="PATCH", json={"state": "Aborted"})
    assert ask(struck, f"jobs/query/{job['id']}", client, method="DELETE").status_code == 204


def test_sessions_usage_date_and_clock(struck: OrgHandle) -> None:
    client = log_in(struck)
    later = CLOCK + timedelta(minutes=5)
    struck.set_faults(
        [
            Fault(do=faults.SetUsage(used=90_000), path=faults.QUERY),
            Fault(do=faults.Skew(seconds=-90), path=faults.QUERY, nth=2),
            Fault(do=faults.Advance(clock=later), path=faults.QUERY, nth=3),
            Fault(do=faults.ExpireSessions(), path=faults.QUERY, nth=4),
        ]
    )
    assert ask(struck, COUNT, client).headers["Sforce-Limit-Info"] == "api-usage=90001/100000"
    assert parsedate_to_datetime(ask(struck, COUNT, client).headers["Date"]) == CLOCK - timedelta(seconds=90)
    assert parsedate_to_datetime(ask(struck, COUNT, client).headers["Date"]) == later
    assert ask(struck, COUNT, client).json()[0]["errorCode"] == "INVALID_SESSION_ID"
    assert struck.faults_struck() == [1, 1, 1, 1]
    struck.set_limits(used=0)


def test_a_wrong_rule_is_refused_by_name(struck: OrgHandle) -> None:
    with pytest.raises(OrgRefused, match=r"faults.*not a list"):
        struck._control("PUT", "faults", {"faults": "all"})
    with pytest.raises(OrgRefused, match="kind"):
        struck._control("PUT", "faults", {"faults": [{"do": {"kind": "meteor"}}]})
