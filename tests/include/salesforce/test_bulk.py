"""Bulk API 2.0 against answers that go wrong: what is not whole is fetched again, what failed is said and deleted."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from include.config.object_file import ObjectFile
from include.salesforce import errors
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


def read(scripted: Any, polling: Polling | None = None) -> Iterator[pa.RecordBatch]:
    client = scripted.client()
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
