"""Bulk jobs whose maker died: what is on record is deleted, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.config.object_file import read_object_files
from include.salesforce.bulk import Polling
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import SalesforceProblem
from include.salesforce.extraction import extract
from include.salesforce.job_book import ENDED, JobBook
from include.salesforce.read_plan import make_read_plan
from include.staging.lifetime import LONGEST_RUN
from include.staging.manifest import ReadPlan
from local.org.faults import JOBS, Answer, Drop, EndJob, Fault
from local.org.handle import OrgHandle
from tests.include.salesforce.conftest import T6, load, user_events, window

USER = read_object_files()["user"]
MakeClient = Callable[..., SalesforceClient]


@pytest.fixture
def client(own_org: OrgHandle, client_of: MakeClient) -> SalesforceClient:
    load(own_org, *user_events(5))
    return client_of(own_org)


@pytest.fixture
def plan(client: SalesforceClient) -> ReadPlan:
    return make_read_plan(client=client, object_file=USER, run_id="run", window=window(), bulk_from_rows=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


def query(fields: Any) -> str:
    return f"SELECT {', '.join(fields)} FROM User"


def begin(client: SalesforceClient, folder: Path, plan: ReadPlan, *, knows_id: bool = False) -> str:
    """What is left when a process dies after it has made a job; the job's id."""
    record, job = JobBook(client, str(folder), plan).create(operation="query", query=query, what="dying")
    if not knows_id:
        (folder / record / "job" / "id").unlink()
    await_end(client, job["id"])
    return str(job["id"])


def await_end(client: SalesforceClient, job_id: str) -> None:
    while client.get_json(f"jobs/query/{job_id}", what="waiting")["state"] not in ENDED:
        pass


def jobs(client: SalesforceClient) -> set[str]:
    return {job["id"] for job in client.get_json("jobs/query", what="listing")["records"]}


@pytest.mark.parametrize("knows_id", [True, False])
def test_the_job_of_a_dead_attempt_is_deleted_whether_its_id_arrived_or_not(
    client: SalesforceClient, folder: Path, plan: ReadPlan, *, knows_id: bool
) -> None:
    begin(client, folder, plan, knows_id=knows_id)
    assert len(jobs(client)) == 1
    JobBook(client, str(folder), plan).clean_up()
    assert jobs(client) == set()
    assert list(folder.iterdir()) == []


def test_a_colleagues_job_stays(client: SalesforceClient, folder: Path, plan: ReadPlan) -> None:
    theirs = begin(client, folder.with_name("theirs"), plan)
    begin(client, folder, plan)
    JobBook(client, str(folder), plan).clean_up()
    assert jobs(client) == {theirs}


def test_half_an_id_is_no_id_and_half_an_intent_is_no_job(
    client: SalesforceClient, folder: Path, plan: ReadPlan
) -> None:
    job_id = begin(client, folder, plan)
    (record,) = folder.iterdir()
    (record / "job").mkdir(exist_ok=True)
    (record / "job" / "id").write_text(job_id[:7])
    (folder / "half").mkdir()
    (folder / "half" / "intent.json").write_text('{"run_id": "r')
    JobBook(client, str(folder), plan).clean_up()
    assert jobs(client) == set()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("knows_id", [True, False])
def test_another_runs_job_is_left_alone_while_that_run_can_live(
    own_org: OrgHandle, client: SalesforceClient, folder: Path, plan: ReadPlan, *, knows_id: bool
) -> None:
    job_id = begin(client, folder, plan, knows_id=knows_id)
    later = plan.model_copy(update={"run_id": "another run"})
    JobBook(client, str(folder), later).clean_up()
    own_org.set_clock(T6 + LONGEST_RUN - timedelta(seconds=1))
    client.clock()
    JobBook(client, str(folder), later).clean_up()
    assert jobs(client) == {job_id}
    own_org.set_clock(T6 + LONGEST_RUN)
    client.clock()
    JobBook(client, str(folder), later).clean_up()
    assert jobs(client) == set()


def test_a_job_that_still_runs_stays_on_record_until_it_shows_whose_it_is(
    own_org: OrgHandle, client: SalesforceClient, folder: Path, plan: ReadPlan
) -> None:
    own_org.set_faults([Fault(do=EndJob(state="InProgress"), method="POST", path=JOBS)])
    record, job = JobBook(client, str(folder), plan).create(operation="query", query=query, what="dying")
    (folder / record / "job" / "id").unlink()
    JobBook(client, str(folder), plan).clean_up()
    assert jobs(client) == {job["id"]}
    assert len(list(folder.iterdir())) == 1


def test_a_lost_answer_leaves_no_job(
    own_org: OrgHandle, client: SalesforceClient, folder: Path, plan: ReadPlan, tmp_path: Path
) -> None:
    client.sleep = lambda _: None
    own_org.set_faults([Fault(do=Drop(after=0.5), method="POST", path=JOBS, times=2)])
    manifest = extract(
        client=client,
        plan=plan,
        object_file=USER,
        staging_folder=str(tmp_path / "staging"),
        jobs_folder=str(folder),
        polling=Polling(first=0.01, longest=0.05),
    )
    assert own_org.faults_struck() == [2]
    assert manifest.stats.rows == 5
    assert jobs(client) == set()
    assert list(folder.iterdir()) == []


def test_a_refusal_is_not_on_record_and_what_may_be_a_job_is(
    own_org: OrgHandle, client: SalesforceClient, folder: Path, plan: ReadPlan
) -> None:
    client.sleep = lambda _: None
    book = JobBook(client, str(folder), plan)
    for answer, left in ((Answer(status=400, code="INVALID_FIELD"), 0), (Answer(status=503), 1)):
        own_org.set_faults([Fault(do=answer, method="POST", path=JOBS, times=None)])
        with pytest.raises(SalesforceProblem):
            book.create(operation="query", query=query, what="asking")
        assert len(list(folder.iterdir())) == left


def test_a_search_that_fails_stops_nobody(
    own_org: OrgHandle, client: SalesforceClient, folder: Path, plan: ReadPlan, caplog: pytest.LogCaptureFixture
) -> None:
    begin(client, folder, plan)
    own_org.set_faults([Fault(do=Answer(status=403, code="INSUFFICIENT_ACCESS"), method="GET", path=JOBS)])
    JobBook(client, str(folder), plan).clean_up()
    assert "could not be looked for" in caplog.text
    JobBook(client, str(folder), plan).clean_up()
    assert jobs(client) == set()
