"""Bulk API 2.0 query jobs: run in the background, their results kept as CSV files.

A result is one state of the org: what one SQLite read transaction saw.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from local.org.bulk_results import ResultFile, csv_line
from local.org.database import Database
from local.org.errors import SalesforceError, not_found
from local.org.ids import numbered
from local.org.queries import Queries
from local.org.soql_sql import bulk_refusal
from local.org.store import Store

log = logging.getLogger(__name__)

TERMINAL = ("JobComplete", "Failed", "Aborted")
_COLUMNS = (
    "id, operation, object, query, state, created, modified, version, delimiter, line_ending, records, "
    "milliseconds, error"
)


@dataclass(frozen=True)
class Job:
    """A query job. Times are in seconds since 1970, ``milliseconds`` is how long it ran."""

    id: str
    operation: str
    object: str
    query: str
    state: str
    created: int
    modified: int
    version: float
    delimiter: str
    line_ending: str
    records: int
    milliseconds: int
    error: str | None


@dataclass(frozen=True)
class ResultPart:
    """Some records of a job's result. ``next_start`` is the first record of the next part, None with the last."""

    chunks: Iterator[bytes]
    records: int
    next_start: int | None


class BulkJobs:
    """The org's query jobs.

    :param database: the org's file.
    :param queries: what runs SOQL.
    :param folder: where results are kept.
    :param store: for the clock.
    """

    def __init__(self, *, database: Database, queries: Queries, folder: Path, store: Store) -> None:
        self._database = database
        self._queries = queries
        self._folder = folder
        self._store = store
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="bulk")
        with database.write() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'Failed', error = 'InternalServerError : the org was restarted' "
                "WHERE state IN ('UploadComplete', 'InProgress')"
            )

    def create(
        self,
        *,
        operation: str,
        query: str,
        version: str,
        delimiter: str,
        line_ending: str,
        end: tuple[str, str | None] | None = None,
        seconds: float = 0,
    ) -> Job:
        """Accept a job and run it in the background.

        :param operation: ``query`` or ``queryAll``.
        :param query: SOQL.
        :param version: the API version, e.g. ``59.0``.
        :param delimiter: a key of DELIMITERS.
        :param line_ending: a key of LINE_ENDINGS.
        :param end: state and error message that the job is put into instead of being run.
        :param seconds: how long it takes beyond its work.
        :raises SalesforceError: if the query is wrong, or Bulk API 2.0 does not take it.
        """
        found = self._queries.plan(query)
        refusal = bulk_refusal(found)
        if refusal:
            raise refusal
        now = self._store.clock
        with self._database.write() as connection:
            number = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM jobs").fetchone()[0]
            job_id = numbered("750", number)
            connection.execute(
                "INSERT INTO jobs (number, id, operation, object, query, state, created, modified, version, delimiter, "
                "line_ending) VALUES (?, ?, ?, ?, ?, 'UploadComplete', ?, ?, ?, ?, ?)",
                (
                    number,
                    job_id,
                    operation,
                    found.sobject.name,
                    query,
                    now,
                    now,
                    float(version),
                    delimiter,
                    line_ending,
                ),
            )
        job = self.get(job_id)
        if end is None:
            self._pool.submit(self._run, job, seconds)
        else:
            self.settle(job.id, end[0], error=end[1])
        return job

    def get(self, job_id: str) -> Job:
        """Return a job.

        :param job_id: its Id, 15 or 18 characters.
        :raises SalesforceError: NOT_FOUND if there is none.
        """
        row = self._database.connection().execute(
            f"SELECT {_COLUMNS} FROM jobs WHERE id = ? OR substr(id, 1, 15) = ?", (job_id, job_id)
        )
        for values in row:
            return Job(*values)
        raise not_found()

    def list(self) -> list[Job]:
        """Return all jobs, the newest first."""
        rows = self._database.connection().execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY number DESC")
        return [Job(*values) for values in rows]

    def states(self) -> dict[str, int]:
        """Return how many jobs there are in each state."""
        rows = self._database.connection().execute("SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state")
        return dict(rows.fetchall())

    def abort(self, job_id: str) -> Job:
        """Abort a job that has not ended.

        :param job_id: its Id.
        :raises SalesforceError: if it has ended already.
        """
        job = self.get(job_id)
        if not self.settle(job.id, "Aborted"):
            raise SalesforceError("INVALIDJOBSTATE", f"Aborting already {_ended(self.get(job_id))} Job not allowed")
        return self.get(job_id)

    def delete(self, job_id: str) -> None:
        """Delete a job that has ended, and its result.

        :param job_id: its Id.
        :raises SalesforceError: if it has not ended.
        """
        job = self.get(job_id)
        if job.state not in TERMINAL:
            raise SalesforceError("INVALIDJOBSTATE", f"Deleting {job.state} Job not allowed")
        with self._database.write() as connection:
            connection.execute("DELETE FROM jobs WHERE id = ?", (job.id,))
        ResultFile(self._folder, job.id).delete()

    def settle(self, job_id: str, state: str, *, error: str | None = None) -> bool:
        """Put a job that has not ended into a state.

        :param job_id: its Id, 18 characters.
        :param state: the new state.
        :param error: its errorMessage, with Failed.
        :returns: whether it had not ended.
        """
        with self._database.write() as connection:
            changed = connection.execute(
                "UPDATE jobs SET state = ?, error = ?, modified = ? WHERE id = ? "
                "AND state IN ('UploadComplete', 'InProgress')",
                (state, error, self._store.clock, job_id),
            )
            return changed.rowcount > 0

    def completed(self, job_id: str) -> Job:
        """Return a job that has a result.

        :param job_id: its Id.
        :raises SalesforceError: if it has not completed.
        """
        job = self.get(job_id)
        if job.state != "JobComplete":
            raise SalesforceError("INVALIDJOBSTATE", f"Job is not in a completed state: {job.state}")
        return job

    def results(self, job_id: str, *, start: int, maximum: int | None) -> ResultPart:
        """Return records of a job's result.

        :param job_id: its Id.
        :param start: the first record, from 0: what the locator says.
        :param maximum: at most so many; None for all.
        :raises SalesforceError: if the job has not completed or the locator points behind its end.
        """
        job = self.completed(job_id)
        if start and start >= job.records:
            raise SalesforceError("INVALID_QUERY_LOCATOR", "invalid query locator")
        end = job.records if maximum is None else min(job.records, start + maximum)
        chunks = ResultFile(self._folder, job.id).read(start, end)
        return ResultPart(chunks, end - start, None if end == job.records else end)

    def close(self) -> None:
        """Wait for the jobs that run; those that wait are dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job, seconds: float) -> None:
        began = time.monotonic()
        if not self.settle(job.id, "InProgress"):
            return
        time.sleep(seconds)
        try:
            records = self._write(job)
        except SalesforceError as error:
            message = f"InvalidBatch : Failed to process query: {error.code}: {error.message}"
            self.settle(job.id, "Failed", error=message)
        except Exception as error:
            log.exception("job %s failed", job.id)
            self.settle(job.id, "Failed", error=f"InternalServerError : {error}")
        else:
            with self._database.write() as connection:
                connection.execute(
                    "UPDATE jobs SET records = ?, milliseconds = ? WHERE id = ?",
                    (records, int(1000 * (time.monotonic() - began)), job.id),
                )
                self.settle(job.id, "JobComplete")

    def _write(self, job: Job) -> int:
        """Write a job's result, and return its number of records."""
        found = self._queries.plan(job.query)
        connection = self._database.new_connection()
        try:
            result, deleted = ResultFile(self._folder, job.id), job.operation == "queryAll"
            if line := csv_line(found.fields, delimiter=job.delimiter, line_ending=job.line_ending):
                lines = self._queries.lines(connection, found, line, include_deleted=deleted)
                return result.write_lines(found.fields, lines, delimiter=job.delimiter, line_ending=job.line_ending)
            rows = self._queries.rows(connection, found, include_deleted=deleted)
            return result.write(found.fields, rows, delimiter=job.delimiter, line_ending=job.line_ending)
        finally:
            connection.close()


def _ended(job: Job) -> str:
    return {"JobComplete": "Completed"}.get(job.state, job.state)
