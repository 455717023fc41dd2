"""Reading by Bulk API 2.0: a query job, polled, downloaded page by page or several at once, and always deleted.

The query has no ORDER BY and no LIMIT: either switches Salesforce's chunking off.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from include.salesforce import soql
from include.salesforce.bulk_pages import PARALLEL_FROM, Pages
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import (
    BulkJobFailed,
    IncompleteRead,
    QueryTooSlow,
    clean,
    is_too_slow,
)
from include.salesforce.job_book import ENDED, JobBook
from include.staging.manifest import ReadPlan

log = logging.getLogger(__name__)


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


def read_bulk(
    *,
    client: SalesforceClient,
    plan: ReadPlan,
    where: str,
    schema: pa.Schema,
    batch_size: int,
    book: JobBook,
    polling: Polling | None = None,
    page_size: int | None = None,
    parallel: bool = True,
) -> Iterator[pa.RecordBatch]:
    """Stream a plan's rows from a query job, in the result's order. A few pages of it are held at a time.

    :param client: the org.
    :param plan: what to select.
    :param where: of the span that is read.
    :param schema: from `schema_of`.
    :param batch_size: most rows in a batch.
    :param book: where the job is on record, so that none survives its reader unknown.
    :param polling: how the job is waited for.
    :param page_size: most rows in a page that is asked for by its locator; default: those of a batch.
    :param parallel: fetch several pages of a large result at once, if Salesforce offers it.
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
        processed = job.get("numberRecordsProcessed")
        pages = Pages(client, job_id, what=what, plan=plan, schema=schema)
        at_once = parallel and int(processed or 0) > PARALLEL_FROM
        most = page_size or batch_size
        for page in pages.several_at_once(most) if at_once else pages.one_by_one(most):
            found += page.rows
            yield from page.rows_in_order(batch_size)
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
