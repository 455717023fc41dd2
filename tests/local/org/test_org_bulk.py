"""Bulk API 2.0 through the unmodified client and plain requests."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.bulk2 import ColumnDelimiter, LineEnding, Operation
from simple_salesforce.exceptions import SalesforceMalformedRequest

from local.org.faults import RESULT_PAGES, Fault, ShortPage
from local.org.handle import OrgHandle
from local.org.ids import numbered
from tests.local.org.conftest import ACCOUNTS, USERS, log_in

EIGHT = "Id, Name, Division, Audit_Phase__c, LastModifiedDate, SystemModstamp, IsActive, CreatedDate"


def run(client: Salesforce, query: str, operation: Operation = Operation.query, **more: Any) -> str:
    """Run a job to its end and return its Id."""
    bulk = client.bulk2.User._client
    job_id = str(bulk.create_job(operation, query, **more)["id"])
    bulk.wait_for_job(job_id, True, 0.01)
    return job_id


def call(client: Salesforce, method: str, path: str = "", **more: Any) -> requests.Response:
    url = f"{client.bulk2_url}query{path}"
    headers = {**client.headers, **more.pop("headers", {})}
    return client.session.request(method, url, headers=headers, timeout=60, **more)


def read(client: Salesforce, job_id: str, **more: Any) -> list[list[str]]:
    """Return all rows of a result, the header of each part checked and left out."""
    rows: list[list[str]] = []
    locator = ""
    while locator != "null":
        part = call(client, "GET", f"/{job_id}/results", params={"locator": locator, **more})
        found = list(csv.reader(io.StringIO(part.text, newline="")))
        assert len(found) - 1 == int(part.headers["Sforce-NumberOfRecords"])
        rows += found[1:]
        locator = part.headers["Sforce-Locator"]
    return rows


def test_simple_salesforces_bulk2_query(salesforce: Salesforce) -> None:
    parts = list(salesforce.bulk2.User.query(f"SELECT {EIGHT} FROM User ORDER BY Id", max_records=2000, wait=0.01))
    rows = [row for part in parts for row in csv.DictReader(io.StringIO(part))]
    assert len(parts) == 3
    assert [row["Id"] for row in rows] == sorted(numbered("005", number) for number in range(USERS))


def test_simple_salesforces_bulk2_download(salesforce: Salesforce, tmp_path: Path) -> None:
    query = "SELECT Id FROM User WHERE SystemModstamp >= 2026-01-05T02:00:00Z"
    found = salesforce.bulk2.User.download(query, str(tmp_path), max_records=1000, wait=0.01)
    assert sum(part["number_of_records"] for part in found) == USERS - 3600
    assert sum(len(path.read_text().splitlines()) - 1 for path in tmp_path.iterdir()) == USERS - 3600


def test_a_result_is_written_as_salesforce_writes_it(salesforce: Salesforce) -> None:
    job_id = run(salesforce, f"SELECT {EIGHT} FROM User WHERE Id = '{numbered('005', 2)}'")
    answer = call(salesforce, "GET", f"/{job_id}/results")
    assert answer.content.decode() == (
        '"Id","Name","Division","Audit_Phase__c","LastModifiedDate","SystemModstamp","IsActive","CreatedDate"\n'
        f'"{numbered("005", 2)}","User 2","","","2026-01-05T01:00:02.000Z","2026-01-05T01:00:02.000Z","true",'
        '"2026-01-05T01:00:02.000Z"\n'
    )
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert (answer.headers["Sforce-Locator"], answer.headers["Sforce-NumberOfRecords"]) == ("null", "1")
    assert answer.headers["Date"] == "Mon, 05 Jan 2026 06:00:00 GMT"


def test_the_csv_has_the_form_of_a_real_one(salesforce: Salesforce, groundtruth: Path) -> None:
    real = json.loads((groundtruth / "responses" / "errors_and_bulk_csv.json").read_text())["bulk2_csv"]["head"]
    job_id = run(salesforce, "SELECT Id, Name FROM Account WHERE Name = 'Account 1'")
    ours = call(salesforce, "GET", f"/{job_id}/results").text
    assert ours.replace(numbered("001", 1), "001Dp00000Ulaz4IAB").replace("Account 1", "SomeName") == real


def test_a_job_has_the_shape_of_a_real_one(salesforce: Salesforce, groundtruth: Path) -> None:
    real = json.loads((groundtruth / "responses" / "bulk2_job.json").read_text())
    body = {"operation": "queryAll", "query": "SELECT Id FROM Account"}
    created = call(salesforce, "POST", json=body).json()
    assert set(created) == set(real)
    for key in ("operation", "state", "concurrencyMode", "contentType", "lineEnding", "columnDelimiter"):
        assert created[key] == real[key]
    assert (created["apiVersion"], created["object"], created["id"][:3]) == (59.0, "Account", "750")
    salesforce.bulk2.Account._client.wait_for_job(created["id"], True, 0.01)
    done = call(salesforce, "GET", f"/{created['id'][:15]}").json()
    assert (done["state"], done["numberRecordsProcessed"], done["retries"]) == ("JobComplete", ACCOUNTS, 0)
    assert isinstance(done["totalProcessingTime"], int)
    listed = call(salesforce, "GET").json()
    assert listed["done"] is True
    assert created["id"] in [job["id"] for job in listed["records"]]


def test_query_all_has_the_soft_deleted_and_query_has_not(salesforce: Salesforce) -> None:
    query = "SELECT Id, IsDeleted FROM Account"
    assert len(read(salesforce, run(salesforce, query))) == ACCOUNTS - 1
    rows = read(salesforce, run(salesforce, query, Operation.query_all), maxRecords=5)
    assert [row[0] for row in rows if row[1] == "true"] == [numbered("001", 3)]


def test_an_empty_result_is_a_header(salesforce: Salesforce) -> None:
    job_id = run(salesforce, "SELECT Id FROM User WHERE Name = 'nobody'")
    answer = call(salesforce, "GET", f"/{job_id}/results")
    assert (answer.text, answer.headers["Sforce-NumberOfRecords"]) == ('"Id"\n', "0")
    assert answer.headers["Sforce-Locator"] == "null"


def test_results_are_compressed_when_asked(salesforce: Salesforce) -> None:
    job_id = run(salesforce, f"SELECT {EIGHT} FROM User")
    packed = call(salesforce, "GET", f"/{job_id}/results", headers={"Accept-Encoding": "gzip"})
    plain = call(salesforce, "GET", f"/{job_id}/results", headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.content == plain.content


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"query": "SELECT count() FROM User"}, "API_ERROR", "Aggregate"),
    ({"query": "SELECT Id FROM User LIMIT 1 OFFSET 1"}, "API_ERROR", "OFFSET"),
    ({"query": "SELECT Id, Address FROM User"}, "API_ERROR", "Selecting compound data not supported in Bulk Query"),
    ({"query": "SELECT Id, IsDeleted FROM User"}, "INVALID_FIELD", "No such column 'IsDeleted' on entity 'User'."),
    ({"query": "SELECT Id FROM Lead"}, "INVALID_TYPE", "sObject type 'Lead' is not supported."),
    ({"query": "SELECT"}, "MALFORMED_QUERY", "<EOF>"),
    ({"query": ""}, "INVALID_FIELD", "query"),
    ({"operation": "insert"}, "INVALID_FIELD", "allowed are query, queryAll"),
    ({"columnDelimiter": "X"}, "INVALID_FIELD", "COMMA"),
    ({"contentType": "JSON"}, "INVALID_FIELD", "allowed are CSV"),
    ({"colour": "red"}, "JSON_PARSER_ERROR", "colour"),
]


@pytest.mark.parametrize(("changes", "code", "words"), REFUSED)
def test_what_bulk_does_not_take_is_refused(
    salesforce: Salesforce, changes: dict[str, Any], code: str, words: str
) -> None:
    answer = call(salesforce, "POST", json={"operation": "query", "query": "SELECT Id FROM User", **changes})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    assert words in answer.json()[0]["message"]


def test_a_body_that_is_no_json_object_is_refused(salesforce: Salesforce) -> None:
    for body in (b"{", b"[]", b""):
        assert call(salesforce, "POST", data=body).json()[0]["errorCode"] == "JSON_PARSER_ERROR"


def test_jobs_are_deleted_and_ended_ones_not_aborted(salesforce: Salesforce) -> None:
    bulk = salesforce.bulk2.User._client
    job_id = run(salesforce, "SELECT Id FROM User")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        bulk.abort_job(job_id, True)
    assert caught.value.content[0]["errorCode"] == "INVALIDJOBSTATE"
    assert call(salesforce, "DELETE", f"/{job_id}").status_code == 204
    for method, path in (("GET", f"/{job_id}"), ("GET", f"/{job_id}/results"), ("DELETE", f"/{job_id}")):
        assert call(salesforce, method, path).status_code == 404


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"locator": "OTk5OTk5"}, "INVALID_QUERY_LOCATOR"),
        ({"locator": "é"}, "INVALID_QUERY_LOCATOR"),
        ({"locator": "YWJj"}, "INVALID_QUERY_LOCATOR"),
        ({"maxRecords": "0"}, "INVALID_PARAMETER"),
        ({"maxRecords": "many"}, "INVALID_PARAMETER"),
    ],
)
def test_wrong_locators_and_sizes_are_refused(salesforce: Salesforce, params: dict[str, str], code: str) -> None:
    job_id = run(salesforce, "SELECT Id FROM Account")
    answer = call(salesforce, "GET", f"/{job_id}/results", params=params)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_any_text_comes_through_in_any_dialect(org: OrgHandle, live: Callable[..., None]) -> None:
    texts = ['a"b', 'ends with a quote"\nand goes on', "c,d;e|f\tg^h`i", "\r\n", "🚀\u2028 עברית", "'", "x" * 255]
    live(
        *(
            {
                "at": "2026-01-05T00:00:00Z",
                "op": "insert",
                "object": "Account",
                "Id": numbered("001", number),
                "fields": {"Name": text},
            }
            for number, text in enumerate(texts)
        )
    )
    client = log_in(org)
    for delimiter in ColumnDelimiter:
        for ending in LineEnding:
            job_id = run(
                client, "SELECT Name, Id FROM Account ORDER BY Id", column_delimiter=delimiter, line_ending=ending
            )
            found: list[str] = []
            locator = ""
            while locator != "null":
                part = call(client, "GET", f"/{job_id}/results", params={"locator": locator, "maxRecords": 2})
                signs = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
                text = part.content.decode()
                assert text.endswith("\r\n" if ending is LineEnding.CRLF else '"\n')
                rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=signs[delimiter.value]))
                found += [row[0] for row in rows[1:]]
                locator = part.headers["Sforce-Locator"]
            assert found == texts


def test_a_result_is_the_state_at_which_its_job_ran(org: OrgHandle, live: Callable[..., None]) -> None:
    live(
        *(
            {
                "at": f"2026-01-0{day}T00:00:00Z",
                "op": "insert",
                "object": "User",
                "Id": numbered("005", 10 * day + number),
                "fields": {"Name": "A"},
            }
            for day in (6, 7)
            for number in range(10)
        )
    )
    org.set_clock(datetime(2026, 1, 6, tzinfo=UTC))
    client = log_in(org)
    job_id = run(client, "SELECT Id FROM User")
    org.set_clock(datetime(2026, 1, 8, tzinfo=UTC))
    assert len(read(client, job_id, maxRecords=3)) == 10
    assert len(read(client, run(client, "SELECT Id FROM User"))) == 20


def test_the_pages_of_a_result_are_named_five_at_a_time(org: OrgHandle, live: Callable[..., None]) -> None:
    live(
        *(
            {
                "at": "2026-01-05T00:00:00Z",
                "op": "insert",
                "object": "User",
                "Id": numbered("005", 100_000 + number),
                "fields": {"Name": "paged"},
            }
            for number in range(64)
        )
    )
    org.set_faults([Fault(do=ShortPage(rows=10), path=RESULT_PAGES, times=None)])
    client = log_in(org)
    job_id = run(client, "SELECT Id FROM User WHERE Name = 'paged'")
    first = call(client, "GET", f"/{job_id}/resultPages").json()
    second = call(client, "GET", f"/{job_id}/{first['nextRecordsUrl'].rpartition('/')[2]}").json()
    assert (len(first["resultPages"]), first["done"]) == (5, False)
    assert (len(second["resultPages"]), second["done"], "nextRecordsUrl" in second) == (2, True, False)
    rows = []
    for page in first["resultPages"] + second["resultPages"]:
        assert page["resultUrl"].startswith(f"/services/data/v59.0/jobs/query/{job_id}/results?locator=")
        part = call(client, "GET", f"/{job_id}/{page['resultUrl'].rpartition('/')[2]}")
        rows += part.text.splitlines()[1:]
        assert part.headers["Sforce-NumberOfRecords"] in {"10", "4"}
    assert [row.strip('"') for row in rows] == [row[0] for row in read(client, job_id)]
    nobody = run(client, "SELECT Id FROM User WHERE Name = 'B'")
    empty = call(client, "GET", f"/{nobody}/resultPages").json()
    assert (len(empty["resultPages"]), empty["done"]) == (1, True)


def test_result_pages_need_version_58_and_the_version_of_the_job(salesforce: Salesforce) -> None:
    job_id = run(salesforce, "SELECT Id FROM Account")
    url = salesforce.bulk2_url + f"query/{job_id}/resultPages"
    for version, status in (("57.0", 404), ("60.0", 409), ("59.0", 200)):
        answer = salesforce.session.get(url.replace("59.0", version), headers=salesforce.headers, timeout=60)
        assert answer.status_code == status


def test_sqlite_writes_the_lines_that_csv_writer_would(org: OrgHandle, live: Callable[..., None]) -> None:
    """A number among the fields has the lines written in Python; without it SQLite writes them."""
    texts = ['a"b', "", None, "c,d;e|f", "\r\n", "🚀\u2028 עברית", "' || x || '", "x" * 255]
    live(
        *(
            {
                "at": "0001-01-01T00:00:00Z" if number else "2026-01-05T00:00:00Z",
                "op": "insert",
                "object": "Account",
                "Id": numbered("001", number),
                "fields": {"Name": text, "AnnualRevenue": 1.5},
            }
            for number, text in enumerate(texts)
        )
    )
    client = log_in(org)
    fields = "Id, Name, IsDeleted, CreatedDate, OwnerId"
    for delimiter in ColumnDelimiter:
        for ending in LineEnding:
            dialect = {"column_delimiter": delimiter, "line_ending": ending}
            quick, slow = (
                call(client, "GET", f"/{run(client, f'SELECT {chosen} FROM Account ORDER BY Id', **dialect)}/results")
                for chosen in (fields, f"{fields}, AnnualRevenue")
            )
            sign = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
            number = f'{sign[delimiter.value]}"1.5"'
            assert slow.text.replace(number, "").replace(f'{sign[delimiter.value]}"AnnualRevenue"', "") == quick.text
