"""Reading by Bulk API 2.0: a query job, polled, downloaded page by page, and always deleted.

The query has no ORDER BY and no LIMIT: either switches Salesforce's chunking off.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pacsv

from include.salesforce import soql
from include.salesforce.client import SalesforceClient
from include.salesforce.convert import assemble
from include.salesforce.errors import (
    BulkJobFailed,
    IncompleteRead,
    QueryTooSlow,
    Unavailable,
    UnexpectedSchema,
    clean,
    is_too_slow,
)
from include.salesforce.job_book import ENDED, JobBook
from include.staging.columns import COLUMN_TYPES
from include.staging.manifest import ReadPlan

log = logging.getLogger(__name__)

#: A record can hold 1.6 million characters of long text, and must fit in one block of the CSV reader (bytes).
_BLOCK_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Polling:
    """How a job is waited for. Small jobs end in a second; large ones should not be asked about all the time.

    :param first: seconds before the second look at the job.
    :param factor: how much longer each wait is than the one before.
    :param longest: seconds of the longest wait.
    :param total: seconds of waiting after which the job is given up.
    """

    first: float = 0.2
    factor: float = 1.6
    longest: float = 10.0
    total: float = 2 * 60 * 60.0

    def waits(self) -> Iterator[float]:
        """The waits between two looks, until `total` is used up."""
        wait, spent = self.first, 0.0
        while spent + wait <= self.total:
            yield wait
            spent += wait
            wait = min(wait * self.factor, self.longest)


@dataclass(frozen=True, kw_only=True)
class _Page:
    batches: tuple[pa.RecordBatch, ...]
    rows: int
    locator: str


def read_bulk(
    *,
    client: SalesforceClient,
    plan: ReadPlan,
    where: str,
    schema: pa.Schema,
    batch_size: int,
    book: JobBook,
    polling: Polling | None = None,
) -> Iterator[pa.RecordBatch]:
    """Stream a plan's rows from a query job. One page of the result is held at a time.

    :param client: the org.
    :param plan: what to select.
    :param where: of the span that is read.
    :param schema: from `schema_of`.
    :param batch_size: most rows in a page of the result.
    :param book: where the job is on record, so that none survives its reader unknown.
    :param polling: how the job is waited for.
    :raises BulkJobFailed: when the job ends Failed or Aborted, or does not end.
    :raises QueryTooSlow: when it failed because the query is too much for Salesforce.
    :raises IncompleteRead: when the pages hold fewer records than the job says it found.
    """
    what = f"reading {plan.object} by Bulk"

    def query(fields: Sequence[str]) -> str:
        return soql.select(fields=fields, object_name=plan.object, where=where)

    operation = "queryAll" if plan.has_is_deleted else "query"
    record, job = book.create(operation=operation, query=query, what=what)
    job_id = job["id"]
    state = "InProgress"
    try:
        job = _wait(client, job_id, what, polling or Polling())
        state = job["state"]
        if state != "JobComplete":
            said = clean(client.hide(job.get("errorMessage") or "no reason was given"))
            failed = QueryTooSlow if is_too_slow(job.get("errorMessage")) else BulkJobFailed
            raise failed(
                f"{what}: job {job_id} ended {state}: {said}"
                f" ({job.get('numberRecordsProcessed', 0)} records processed)."
            )
        found = 0
        for page in _pages(client, job_id, what=what, plan=plan, schema=schema, batch_size=batch_size):
            found += page.rows
            yield from page.batches
        processed = job.get("numberRecordsProcessed")
        if processed is not None and int(processed) != found:
            raise IncompleteRead(f"{what}: job {job_id} found {processed} records, its result holds {found}.")
    finally:
        book.discard(record, job_id, ended=state in ENDED)


def _wait(client: SalesforceClient, job_id: str, what: str, polling: Polling) -> dict[str, Any]:
    waited = 0.0
    for wait in polling.waits():
        job = client.get_json(f"jobs/query/{job_id}", what=what)
        if job["state"] in ENDED:
            return job
        client.check_reserve(what)
        log.debug("job %s is %s after %.0f s", job_id, job["state"], waited)
        client.sleep(wait)
        waited += wait
    raise BulkJobFailed(f"{what}: job {job_id} has not ended after {waited:,.0f} s of waiting; it was aborted.")


def _pages(
    client: SalesforceClient, job_id: str, *, what: str, plan: ReadPlan, schema: pa.Schema, batch_size: int
) -> Iterator[_Page]:
    def read(body: BinaryIO, headers: Mapping[str, str]) -> _Page:
        return _read_page(body, headers, what=what, plan=plan, schema=schema)

    locator = ""
    while True:
        params = {"maxRecords": str(batch_size)} | ({"locator": locator} if locator else {})
        page = client.download(f"jobs/query/{job_id}/results", params=params, what=what, read=read)
        yield page
        if not page.locator:
            return
        if page.locator == locator:
            raise IncompleteRead(f"{what}: job {job_id} names the same next page twice.")
        locator = page.locator
        client.check_reserve(what)


def _read_page(body: BinaryIO, headers: Mapping[str, str], *, what: str, plan: ReadPlan, schema: pa.Schema) -> _Page:
    said = headers.get("Sforce-NumberOfRecords")
    locator = headers.get("Sforce-Locator", "")
    if not _is_whole(body):
        raise Unavailable(f"{what}: a page of the result ended in the middle of a record.")
    try:
        try:
            batches = tuple(_parse(body, plan, schema))
        except pa.ArrowInvalid as error:
            if "invalid UTF8" not in str(error):
                raise
            body.seek(0)
            batches = tuple(_parse(io.BytesIO(body.read().decode("utf-8", "replace").encode()), plan, schema))
    except pa.ArrowInvalid as error:
        if "conversion error" in str(error):
            raise UnexpectedSchema(
                f"{what}: a value is not of its field's type: {clean(str(error), limit=200)}."
            ) from None
        raise Unavailable(f"{what}: a page of the result is not readable as CSV.") from None
    rows = sum(batch.num_rows for batch in batches)
    if said is not None and int(said) != rows:
        raise Unavailable(f"{what}: a page of the result was announced with {said} records and holds {rows}.")
    return _Page(batches=batches, rows=rows, locator="" if locator == "null" else locator)


def _is_whole(body: BinaryIO) -> bool:
    size = body.seek(0, 2)
    if size:
        body.seek(size - 1)
    ending = body.read(1)
    body.seek(0)
    return ending in {b"", b"\n"}


def _parse(body: BinaryIO, plan: ReadPlan, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if not body.read(1):
        return
    body.seek(0)
    names = [field.name for field in plan.fields]
    convert = pacsv.ConvertOptions(
        column_types={field.name: COLUMN_TYPES[field.column_type] for field in plan.fields},
        include_columns=names,
        # Bulk writes null and the empty string alike, as "".
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
        true_values=["true"],
        false_values=["false"],
    )
    parse = pacsv.ParseOptions(newlines_in_values=True)
    read = pacsv.ReadOptions(block_size=_BLOCK_BYTES)
    try:
        reader = pacsv.open_csv(body, read_options=read, parse_options=parse, convert_options=convert)
    except KeyError as error:
        raise UnexpectedSchema(f"{plan.object}: the Bulk result lacks a selected field ({error}).") from None
    for batch in reader:
        columns = {field.column: batch.column(field.name) for field in plan.fields}
        yield assemble(columns, plan=plan, rows=batch.num_rows, schema=schema)
