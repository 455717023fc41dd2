"""Extraction: a read plan becomes staged Parquet, proven complete against Salesforce's own count."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pyarrow as pa

from include.config.object_file import ObjectFile
from include.salesforce.bulk import Polling, read_bulk
from include.salesforce.client import SalesforceClient
from include.salesforce.convert import schema_of
from include.salesforce.coverage import covered_until
from include.salesforce.errors import IncompleteRead, QueryCursorLost, WrongOrg
from include.salesforce.filters import Span, window_span
from include.salesforce.id_bag import IdBag
from include.salesforce.job_book import JobBook
from include.salesforce.narrowing import count_records, narrowed
from include.salesforce.rest import read_rest
from include.staging import store
from include.staging.manifest import ExtractionManifest, ExtractionStats, ReadPlan

log = logging.getLogger(__name__)

#: How often a read is made until it is proven complete.
MOST_READS = 3
#: Records in a page of a Bulk result, each of which is an API request. An object file that asks for smaller batches
#: than usual has large records: its pages are as small as its batches.
PAGE_RECORDS, _USUAL_BATCH = 50_000, 10_000
#: Name of the manifest beside the staged Parquet.
MANIFEST = "manifest.json"

#: Told the rows read so far and the rows expected.
Progress = Callable[[int, int], None]
#: Given a batch as it was read, what of it may be staged.
Keep = Callable[[pa.RecordBatch], pa.RecordBatch]


def extract(
    *,
    client: SalesforceClient,
    plan: ReadPlan,
    object_file: ObjectFile,
    staging_folder: str,
    jobs_folder: str | None = None,
    progress: Progress | None = None,
    polling: Polling | None = None,
    keep: Keep | None = None,
) -> ExtractionManifest:
    """Read what the plan says into Parquet. Memory is bounded by the batch size and a few pages of a Bulk result.

    What an earlier attempt left in the folder is removed first, and its Bulk jobs in Salesforce are deleted.

    :param client: the org.
    :param plan: from `make_read_plan`.
    :param object_file: whose columns are staged.
    :param staging_folder: this run's own folder; `store.run_folder(…, step="extract")`.
    :param jobs_folder: where the object's Bulk jobs are on record, for all runs; default: beside the staging folder.
    :param progress: told the rows read so far and the rows expected, after every batch; default: it is logged.
    :param polling: how a Bulk job is waited for.
    :param keep: what of a batch is staged; all of it by default. The rest counts as read.
    :raises IncompleteRead: when no read of `MOST_READS` was proven complete.
    :raises WrongOrg: when the connection leads to another org than the plan was made for.
    :raises SalesforceProblem: any other, see include/salesforce/errors.py.
    """
    extracted_at = datetime.now(UTC)
    started = time.monotonic()
    calls_before, bytes_before = client.api_calls, client.bytes_received
    if client.org_id != plan.org_id:
        raise WrongOrg(f"the plan was made for org {plan.org_id}, the connection leads to {client.org_id}.")
    book = JobBook(client, jobs_folder or f"{staging_folder}_jobs", plan)
    book.clean_up()

    attempt = _Attempt(client, plan, object_file, staging_folder, book, progress or _log_progress(plan), polling, keep)
    for reads in range(1, MOST_READS + 1):
        store.remove(staging_folder)
        try:
            attempt.read(parallel=reads == 1)
        except (QueryCursorLost, IncompleteRead) as error:
            if reads == MOST_READS:
                raise
            log.warning("%s Reading again (%s of %s).", error, reads + 1, MOST_READS)
            continue
        if attempt.distinct >= attempt.counted:
            break
        log.warning(
            "%s: read %s distinct records, Salesforce counts %s; read %s of %s",
            plan.object,
            f"{attempt.distinct:,}",
            f"{attempt.counted:,}",
            reads,
            MOST_READS,
        )
    else:
        raise IncompleteRead(
            f"reading {plan.object}: {attempt.distinct:,} distinct records arrived, Salesforce counts "
            f"{attempt.counted:,} with the same filter, {MOST_READS} times over."
        )
    # Again: what an earlier attempt left running has ended by now, or this one has lost an answer.
    book.clean_up()
    manifest = ExtractionManifest(
        plan=plan,
        extracted_at=extracted_at,
        files=tuple(attempt.files),
        stats=ExtractionStats(
            rows=attempt.rows,
            distinct_ids=attempt.distinct,
            counted=attempt.counted,
            reads=reads,
            bytes_received=client.bytes_received - bytes_before,
            bytes_staged=store.total_bytes(attempt.files),
            api_calls=client.api_calls - calls_before,
            api_usage_percent=client.api_usage_percent,
            seconds=round(time.monotonic() - started, 3),
        ),
        covered_until=attempt.covered_until,
    )
    store.write_text(store.join(staging_folder, MANIFEST), manifest.model_dump_json(indent=2))
    log.info("%s: %s rows staged in %s read(s)", plan.object, f"{attempt.rows:,}", reads)
    return manifest


class _Attempt:
    """One read of everything, and its proof."""

    def __init__(  # noqa: PLR0917
        self,
        client: SalesforceClient,
        plan: ReadPlan,
        object_file: ObjectFile,
        folder: str,
        book: JobBook,
        progress: Progress,
        polling: Polling | None,
        keep: Keep | None,
    ) -> None:
        self._client, self._plan, self._object_file = client, plan, object_file
        self._folder, self._book, self._progress, self._polling = folder, book, progress, polling
        self._keep = keep
        self._schema = schema_of(plan, object_file)
        self.files: list[str] = []
        self.rows = self.distinct = self.counted = 0
        self.covered_until: datetime | None = None

    def read(self, *, parallel: bool) -> None:
        """Stage the rows, then count them as Salesforce sees them with the same filter.

        :param parallel: fetch several pages at once; what did not end in a whole result is read one by one.
        """
        plan = self._plan
        self._parallel = parallel
        # Only a full refresh is bounded by the time of the read itself; anything else need not ask for it.
        start = self._client.clock() if plan.window.full_refresh else plan.planned_at
        span = window_span(plan.window, cursor=plan.cursor, created=plan.created, read_start=start)
        self.covered_until = covered_until(self._client, plan)
        self._client.check_reserve(f"reading {plan.object}")
        self._ids = IdBag()
        self.rows = 0
        batches = self._counted(narrowed(span, self._batches))
        self.files = store.write_parquet(self._folder, batches, self._schema, "rows")
        self.distinct = self._ids.distinct()
        self.counted = count_records(
            self._client, object_name=plan.object, span=span, include_deleted=plan.has_is_deleted
        )

    def _batches(self, span: Span) -> Iterator[pa.RecordBatch]:
        size = self._object_file.batch_size
        if self._plan.api == "rest":
            yield from read_rest(
                client=self._client, plan=self._plan, where=span.where, schema=self._schema, batch_size=size
            )
            return
        yield from read_bulk(
            client=self._client,
            plan=self._plan,
            where=span.where,
            schema=self._schema,
            batch_size=size,
            page_size=max(size, PAGE_RECORDS) if size >= _USUAL_BATCH else size,
            book=self._book,
            polling=self._polling,
            parallel=self._parallel,
        )

    def _counted(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.rows += batch.num_rows
            self._ids.add(batch.column("id"))
            yield self._keep(batch) if self._keep else batch
            self._progress(self.rows, self._plan.estimated_rows)


def _log_progress(plan: ReadPlan) -> Progress:
    def report(rows: int, expected: int) -> None:
        log.info("read %s of about %s %s records", f"{rows:,}", f"{max(rows, expected):,}", plan.object)

    return report
