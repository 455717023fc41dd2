"""Bulk API 2.0 against answers that go wrong: what is not whole is fetched again, what failed is said and deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from include.config.object_file import ObjectFile
from include.salesforce import bulk, bulk_page, bulk_pages, errors, http
from include.salesforce.bulk import Polling, read_bulk
from include.salesforce.convert import schema_of
from include.salesforce.job_book import JobBook
from include.staging.manifest import FieldPlan, ReadPlan, Window

FILE = ObjectFile(version=1, object="Thing__c", fields=("Id", "LastModifiedDate", "Note__c"), tracked=("Note__c",))
MOMENT = datetime(2026, 1, 5, tzinfo=UTC)
PLAN = ReadPlan(
    noun="thing__c",
    object="Thing__c",
    org_id="00D000000000001EAA",
    run_id="r",
    window=Window(start=None, end=MOMENT, kind="manual", full_refresh=True, reason="test"),
    fields=tuple(
        FieldPlan(name=name, column=name.lower(), salesforce_type="x", column_type=kind)
        for name, kind in (("Id", "string"), ("LastModifiedDate", "timestamptz"), ("Note__c", "string"))
    ),
    has_is_deleted=True,
    cursor="LastModifiedDate",
    api="bulk",
    estimated_rows=2,
    planned_at=MOMENT,
)
HEAD = b'"Id","LastModifiedDate","Note__c"\n'
ROW = b'"a01","2026-01-05T00:00:00.000Z","one\n""two"", three"\n'
JOB = {"id": "750x", "state": "UploadComplete"}


def result(content: bytes, rows: int, locator: str = "null") -> tuple[int, None, dict[str, str], bytes]:
    return 200, None, {"Sforce-NumberOfRecords": str(rows), "Sforce-Locator": locator}, content


def read(scripted: Any, polling: Polling | None = None, most_usage: float = 100) -> Iterator[pa.RecordBatch]:
    client = scripted.client(max_api_usage_percentage=most_usage)
    with tempfile.TemporaryDirectory() as folder:
        yield from read_bulk(
            client=client,
            plan=PLAN,
            where="",
            schema=schema_of(PLAN, FILE),
            batch_size=50,
            book=JobBook(client, folder, PLAN),
            polling=polling,
        )


def run(scripted: Any, *pages: tuple[int, None, dict[str, str], bytes], job: dict[str, Any]) -> list[dict[str, Any]]:
    scripted.answer(200, JOB).answer(200, {"state": "InProgress"}).answer(200, job)
    for status, body, headers, content in pages:
        scripted.answer(status, body, headers, raw=content)
    scripted.answer(204)
    batches = read(scripted, Polling(first=0.2, factor=2))
    try:
        return [row for batch in batches for row in batch.to_pylist()]
    finally:
        assert scripted.asked[-1][:2] == ("DELETE", "/services/data/v59.0/jobs/query/750x")


def complete(rows: int) -> dict[str, Any]:
    return {"state": "JobComplete", "numberRecordsProcessed": rows}


def test_pages_follow_their_locators(scripted: Any) -> None:
    rows = run(scripted, result(HEAD + ROW, 1, "MQ"), result(HEAD + ROW * 2, 2), job=complete(3))
    assert len(rows) == 3
    assert rows[0] == {"id": "a01", "lastmodifieddate": MOMENT, "note__c": 'one\n"two", three', "isdeleted": False}
    paths = [path.partition("/jobs/query")[2] for _, path, _ in scripted.asked]
    assert paths[3:5] == ["/750x/results?maxRecords=50", "/750x/results?maxRecords=50&locator=MQ"]
    assert '"operation": "queryAll"' in scripted.asked[0][2]["body"]
    assert "ORDER BY" not in scripted.asked[0][2]["body"]
    assert scripted.slept == [0.2]


@pytest.mark.parametrize("content", [b"", HEAD])
def test_no_records_are_no_rows(scripted: Any, content: bytes) -> None:
    assert run(scripted, result(content, 0), job=complete(0)) == []


@pytest.mark.parametrize("last", [b"", ROW[:-4], ROW[:-1], ROW[:-8] + b'"', ROW[:8] + b"\n"])
def test_a_page_that_is_not_whole_is_fetched_again(scripted: Any, last: bytes) -> None:
    bad = HEAD + ROW * 2 + last
    rows = run(scripted, result(bad, 3), result(HEAD + ROW * 3, 3), job=complete(3))
    assert [row["note__c"] for row in rows] == ['one\n"two", three'] * 3


def test_a_result_with_fewer_records_than_the_job_found_is_incomplete(scripted: Any) -> None:
    with pytest.raises(errors.IncompleteRead, match="found 5 records, its result holds 1"):
        run(scripted, result(HEAD + ROW, 1), job=complete(5))


def test_a_page_that_names_itself_as_the_next_ends_the_read(scripted: Any) -> None:
    with pytest.raises(errors.IncompleteRead, match="same next page"):
        run(scripted, result(HEAD + ROW, 1, "MQ"), result(HEAD + ROW, 1, "MQ"), job=complete(9))


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_fails_says_why_and_is_deleted(scripted: Any, state: str) -> None:
    with pytest.raises(errors.BulkJobFailed, match=f"job 750x ended {state}: InvalidBatch: too complex"):
        run(scripted, job={"state": state, "errorMessage": "InvalidBatch: too complex"})


def test_text_that_is_not_utf8_is_replaced(scripted: Any) -> None:
    bad = b'"a01","2026-01-05T00:00:00.000Z","a\xed\xa0\x80b"\n'
    (row,) = run(scripted, result(HEAD + bad, 1), job=complete(1))
    assert set(row["note__c"]) == {"a", "\ufffd", "b"}


def test_a_value_of_another_type_fails_at_once(scripted: Any) -> None:
    with pytest.raises(errors.UnexpectedSchema, match="yesterday"):
        run(scripted, result(HEAD + b'"a01","yesterday",""\n', 1), job=complete(1))


def test_a_result_without_a_selected_field_fails_at_once(scripted: Any) -> None:
    with pytest.raises(errors.UnexpectedSchema, match="Note__c"):
        run(scripted, result(b'"Id","LastModifiedDate"\n"a01","2026-01-05T00:00:00Z"\n', 1), job=complete(1))


def test_a_job_that_never_ends_is_aborted_and_deleted(scripted: Any) -> None:
    scripted.answer(200, JOB)
    for _ in range(3):
        scripted.answer(200, {"state": "InProgress"})
    scripted.answer(200, {"state": "InProgress"}).answer(200, {"state": "Aborted"}).answer(204)
    batches = read(scripted, Polling(first=1, factor=1, total=3))
    with pytest.raises(errors.BulkJobFailed, match="not ended after 3 s"):
        next(batches)
    assert [method for method, _, _ in scripted.asked] == ["POST", "GET", "GET", "GET", "GET", "PATCH", "DELETE"]


def test_a_job_that_cannot_be_deleted_does_not_spoil_the_read(scripted: Any, caplog: pytest.LogCaptureFixture) -> None:
    scripted.answer(200, JOB).answer(200, complete(1))
    scripted.answer(200, None, {"Sforce-NumberOfRecords": "1"}, raw=HEAD + ROW)
    scripted.answer(403, [{"message": "no", "errorCode": "INSUFFICIENT_ACCESS"}])
    assert sum(batch.num_rows for batch in read(scripted)) == 1
    assert "could not be deleted" in caplog.text


def test_waits_grow_to_a_limit_and_end() -> None:
    waits = list(Polling().waits())
    assert waits[:3] == [0.2, pytest.approx(0.32), pytest.approx(0.512)]
    assert max(waits) == 10
    assert 7_190 <= sum(waits) <= 7_200


def test_a_record_larger_than_a_block_is_read(scripted: Any) -> None:
    large = b'"a01","2026-01-05T00:00:00.000Z","' + "é".encode() * 1_600_000 + b'"\n'
    rows = run(scripted, result(HEAD + ROW + large + ROW, 3), job=complete(3))
    assert [len(row["note__c"]) for row in rows] == [len('one\n"two", three'), 1_600_000, len('one\n"two", three')]


def test_what_a_page_may_not_hold_in_memory_waits_in_a_file(scripted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_page, "_HELD_BYTES", 100_000)
    monkeypatch.setattr(bulk_page, "_BLOCKS_BYTES", (50_000, 50_000))
    monkeypatch.setattr(http, "_MEMORY_BYTES", 60_000)
    written = b"".join(b'"a%06d","2026-01-05T00:00:00.000Z","%s"\n' % (number, b"n" * 90) for number in range(5_000))
    rows = run(scripted, result(HEAD + written, 5_000), job=complete(5_000))
    assert [row["id"] for row in rows] == [f"a{number:06d}" for number in range(5_000)]


# ---------------------------------------------------------------------- pages side by side

RESULT = "/services/data/v59.0/jobs/query/750x/results?locator="


def pages_named(*locators: str, following: str | None = None, key: str = "nextRecordsUrl") -> dict[str, Any]:
    listed = {"resultPages": [{"resultUrl": RESULT + locator} for locator in locators], "done": following is None}
    return listed if following is None else listed | {key: f"/services/data/v59.0/jobs/query/750x/{following}"}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch the pages of any result at once; but one thread, so that a script of answers can follow."""
    monkeypatch.setattr(bulk, "PARALLEL_FROM", 0)
    monkeypatch.setattr(bulk_pages, "AT_ONCE", 1)


def asked_for(scripted: Any) -> list[str]:
    return [path.rpartition("/")[2] for method, path, _ in scripted.asked if "result" in path and method == "GET"]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("key", ["nextRecordsUrl", "nextRecordUrl"])
def test_the_pages_that_salesforce_names_are_fetched(scripted: Any, key: str) -> None:
    scripted.answer(200, JOB).answer(200, complete(4))
    scripted.answer(200, pages_named("A", "B", following="resultPages?locator=C", key=key))
    for named, content in (("x", ROW), ("y", ROW * 2)):
        said = {"Sforce-NumberOfRecords": str(content.count(b"a01")), "Sforce-Locator": named}
        scripted.answer(200, None, said, raw=HEAD + content)
    scripted.answer(200, pages_named("C"))
    scripted.answer(200, None, {"Sforce-NumberOfRecords": "1", "Sforce-Locator": "null"}, raw=HEAD + ROW)
    scripted.answer(204)
    assert sum(batch.num_rows for batch in read(scripted)) == 4
    expected = ["resultPages", "results?locator=A", "results?locator=B", "resultPages?locator=C", "results?locator=C"]
    assert asked_for(scripted) == expected


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]),
        (405, [{"errorCode": "METHOD_NOT_ALLOWED", "message": "no"}]),
        (403, [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "no"}]),
        (200, {"resultPages": [], "done": True}),
    ],
)
def test_an_org_that_names_no_pages_is_read_by_locators(scripted: Any, status: int, body: Any) -> None:
    scripted.answer(200, JOB).answer(200, complete(1)).answer(status, body)
    scripted.answer(200, None, {"Sforce-NumberOfRecords": "1"}, raw=HEAD + ROW).answer(204)
    assert sum(batch.num_rows for batch in read(scripted)) == 1
    assert asked_for(scripted) == ["resultPages", "results?maxRecords=50"]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("second", [{"following": "resultPages"}, {}])
def test_a_page_that_is_named_twice_ends_the_read(scripted: Any, second: dict[str, str]) -> None:
    scripted.answer(200, JOB).answer(200, complete(9))
    if second:
        scripted.answer(200, pages_named("A", following="resultPages"))
        scripted.answer(200, None, {"Sforce-NumberOfRecords": "1"}, raw=HEAD + ROW)
        scripted.answer(200, pages_named("B", following="resultPages"))
    else:
        scripted.answer(200, pages_named("A", "A"))
    scripted.answer(204)
    with pytest.raises(errors.IncompleteRead, match="same next page twice"):
        list(read(scripted))
    assert scripted.asked[-1][0] == "DELETE"


@pytest.mark.usefixtures("at_once")
def test_named_pages_with_fewer_records_than_the_job_found_are_incomplete(scripted: Any) -> None:
    scripted.answer(200, JOB).answer(200, complete(5)).answer(200, pages_named("A"))
    scripted.answer(200, None, {"Sforce-NumberOfRecords": "1"}, raw=HEAD + ROW).answer(204)
    with pytest.raises(errors.IncompleteRead, match="found 5 records, its result holds 1"):
        list(read(scripted))


@pytest.mark.usefixtures("at_once")
def test_the_reserve_is_asked_before_each_page(scripted: Any) -> None:
    usage = {"Sforce-Limit-Info": "api-usage=90/100"}
    scripted.answer(200, JOB).answer(200, complete(2)).answer(200, pages_named("A", "B"))
    scripted.answer(200, None, {"Sforce-NumberOfRecords": "1", **usage}, raw=HEAD + ROW).answer(204)
    with pytest.raises(errors.ApiReserveReached):
        list(read(scripted, most_usage=50))
    assert asked_for(scripted) == ["resultPages", "results?locator=A"]


def test_a_small_result_is_not_worth_a_list_of_its_pages(scripted: Any) -> None:
    run(scripted, result(HEAD + ROW, 1), job=complete(1))
    assert asked_for(scripted) == ["results?maxRecords=50"]
