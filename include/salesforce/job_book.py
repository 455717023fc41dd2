"""Bulk jobs on record: each is written down before it is made, so that whoever comes after a crash can delete it.

Between a job's creation and the arrival of its id nothing tells it from a colleague's: Salesforce lists jobs without
their queries. What it does show is the header of a result, and the order of selected fields is free. So each job
selects its fields in an order of its own, drawn by lot and written down first: a job of our user, of that object and
operation, made since the plan, whose result has exactly that header, is ours.
"""

from __future__ import annotations

import csv
import io
import logging
import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from include.salesforce.client import SalesforceClient
from include.salesforce.errors import ObjectMissing, SalesforceProblem, SourceUnavailable
from include.staging import store
from include.staging.lifetime import LONGEST_RUN
from include.staging.manifest import ReadPlan

log = logging.getLogger(__name__)

#: States of a job that does nothing any more.
ENDED = frozenset({"JobComplete", "Failed", "Aborted"})

_INTENT, _ID_FOLDER, _ID = "intent.json", "job", "id"


class _Intent(BaseModel):
    """What is written down before a job is made.

    :param run_id: Airflow's run id.
    :param object: API name.
    :param operation: query or queryAll.
    :param fields: the selected fields, in the job's own order.
    :param since: the job was not made before (the org's clock).
    """

    model_config = ConfigDict(frozen=True)

    run_id: str
    object: str
    operation: str
    fields: tuple[str, ...]
    since: AwareDatetime


class JobBook:
    """The jobs of one object that are on record.

    :param client: the org.
    :param folder: one for all runs of the object.
    :param plan: of the run at hand.
    """

    def __init__(self, client: SalesforceClient, folder: str, plan: ReadPlan) -> None:
        self._client, self._folder, self._plan = client, folder, plan

    def create(self, *, operation: str, query: Callable[[Sequence[str]], str], what: str) -> tuple[str, dict[str, Any]]:
        """Make a job, on record.

        :param operation: query or queryAll.
        :param query: makes SOQL of the selected fields in their order.
        :param what: what is being done, for messages.
        :return: the record's name, and the job as Salesforce answered.
        :raises SalesforceProblem: any; the record stays if there may be a job all the same.
        """
        names = [field.name for field in self._plan.fields]
        fields = random.SystemRandom().sample(names, len(names))
        record = self._write(operation, fields)
        before = self._client.api_calls
        try:
            job: dict[str, Any] = self._client.post_json(
                "jobs/query",
                {
                    "operation": operation,
                    "query": query(fields),
                    "contentType": "CSV",
                    "columnDelimiter": "COMMA",
                    "lineEnding": "LF",
                },
                what=what,
            )
        except SourceUnavailable:
            raise
        except SalesforceProblem:
            if self._client.api_calls - before == 1:
                self.strike_out(record)
            raise
        if self._client.api_calls - before > 1:
            # An attempt whose answer was lost may have made a job as well; it selects the same fields.
            self._write(operation, fields)
        store.write_text(store.join(self._folder, record, _ID_FOLDER, _ID), job["id"])
        return record, job

    def discard(self, record: str, job_id: str, *, ended: bool) -> None:
        """Delete a job, and strike it out if that worked.

        :param record: from `create`.
        :param job_id: the job's.
        :param ended: the job is known to have ended.
        """
        if discard_job(self._client, job_id, ended=ended):
            self.strike_out(record)

    def strike_out(self, record: str) -> None:
        """Remove a record: its job is gone.

        :param record: from `create`.
        """
        # The intent goes last: whatever of a record is left without it would never be found again.
        store.remove(store.join(self._folder, record, _ID_FOLDER))
        store.remove(store.join(self._folder, record))

    def clean_up(self) -> None:
        """Delete the jobs on record that have no reader: those of this run, and those of runs that must be over.

        That it cannot be done is logged, not raised. What cannot be told apart yet stays on record.
        """
        lost: dict[str, _Intent] = {}
        known: set[str] = set()
        for record, intent, job_id in self._records():
            known |= {job_id} if job_id else set()
            if intent.run_id != self._plan.run_id and self._client.now - intent.since < LONGEST_RUN:
                continue
            if job_id:
                log.info("an earlier attempt left Bulk job %s behind; deleting it", job_id)
                self.discard(record, job_id, ended=False)
            else:
                lost[record] = intent
        if not lost:
            return
        try:
            self._find(lost, known)
        except SalesforceProblem as error:
            log.warning("Bulk jobs that an earlier attempt may have left behind could not be looked for. %s", error)

    def _find(self, lost: Mapping[str, _Intent], known: set[str]) -> None:
        user_id = self._client.user_id()
        jobs = [job for job in self._listed() if job["createdById"] == user_id and job["id"] not in known]
        for record, intent in lost.items():
            undecided = False
            for job in jobs:
                created = datetime.fromisoformat(job["createdDate"])
                if (job["object"], job["operation"]) != (intent.object, intent.operation) or created < intent.since:
                    continue
                if job["state"] not in ENDED:
                    undecided = True
                elif job["state"] == "JobComplete" and self._header(job["id"]) == intent.fields:
                    log.info("an earlier attempt left Bulk job %s behind before it knew its id; deleting it", job["id"])
                    undecided |= not discard_job(self._client, job["id"], ended=True)
            if not undecided:
                self.strike_out(record)

    def _listed(self) -> Iterator[dict[str, Any]]:
        what = "listing Bulk jobs"
        page = self._client.get_json("jobs/query", params={"jobType": "V2Query"}, what=what)
        while True:
            yield from page["records"]
            if page["done"]:
                return
            page = self._client.get_json(page["nextRecordsUrl"], what=what)

    def _header(self, job_id: str) -> tuple[str, ...]:
        def first_line(body: BinaryIO, _: Mapping[str, str]) -> tuple[str, ...]:
            text = body.read().decode("utf-8", "replace")
            return tuple(next(csv.reader(io.StringIO(text)), ()))

        path, what = f"jobs/query/{job_id}/results", f"looking at Bulk job {job_id}"
        try:
            return self._client.download(path, params={"maxRecords": "1"}, what=what, read=first_line)
        except ObjectMissing:
            return ()

    def _records(self) -> Iterator[tuple[str, _Intent, str]]:
        """Name, intent and job id ('' if it never arrived) of each record."""
        for uri in store.find_files(self._folder, _INTENT):
            record = uri.removeprefix(self._folder.rstrip("/") + "/").rpartition("/")[0]
            try:
                intent = _Intent.model_validate_json(store.read_text(uri) or "")
            except ValidationError:  # killed while it wrote this, and so before it made a job
                self.strike_out(record)
                continue
            job_id = store.read_text(store.join(self._folder, record, _ID_FOLDER, _ID)) or ""
            yield record, intent, job_id if len(job_id) in {15, 18} and job_id.isalnum() else ""

    def _write(self, operation: str, fields: Sequence[str]) -> str:
        plan, record = self._plan, uuid.uuid4().hex
        intent = _Intent(
            run_id=plan.run_id,
            object=plan.object,
            operation=operation,
            fields=tuple(fields),
            since=plan.planned_at,
        )
        store.write_text(store.join(self._folder, record, _INTENT), intent.model_dump_json())
        return record


def _abort(client: SalesforceClient, path: str, what: str) -> None:
    try:
        client.patch_json(path, {"state": "Aborted"}, what=what)
    except SalesforceProblem as error:
        # It may have ended since it was looked at, which Salesforce calls an error.
        log.debug("%s: %s", what, error)


def discard_job(client: SalesforceClient, job_id: str, *, ended: bool) -> bool:
    """Delete a job of ours; one that may still run is aborted first. That it cannot be done is logged, not raised.

    :param client: the org.
    :param job_id: id of a query job.
    :param ended: the job is known to have ended.
    :return: whether it is gone.
    """
    path, what = f"jobs/query/{job_id}", f"deleting Bulk job {job_id}"
    try:
        if not ended and client.get_json(path, what=what)["state"] not in ENDED:
            _abort(client, path, what)
        client.delete(path, what=what)
    except ObjectMissing:
        log.debug("Bulk job %s is gone already", job_id)
    except SalesforceProblem as error:
        log.warning("Bulk job %s could not be deleted; Salesforce drops it after 7 days. %s", job_id, error)
        return False
    return True
