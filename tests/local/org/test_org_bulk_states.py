"""Bulk jobs that end Aborted or Failed, made to do so without a race."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.org.errors import SalesforceError
from local.org.home import Home
from local.org.org import Org, open_org

QUERY = {"operation": "query", "version": "59.0", "delimiter": "COMMA", "line_ending": "LF"}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Org]:
    org = open_org(Home(tmp_path))
    yield org
    org.close()


def test_an_aborted_job_stays_aborted_and_has_no_result(opened: Org) -> None:
    with opened.store.database.write():  # holds the worker back, which wants to write first
        job = opened.jobs.create(query="SELECT Id FROM User", **QUERY)
        assert job.state == "UploadComplete"
        with pytest.raises(SalesforceError, match="Deleting UploadComplete Job not allowed"):
            opened.jobs.delete(job.id)
        assert opened.jobs.abort(job.id).state == "Aborted"
    opened.jobs.close()
    assert opened.jobs.get(job.id).state == "Aborted"
    with pytest.raises(SalesforceError, match="not in a completed state: Aborted"):
        opened.jobs.results(job.id, start=0, maximum=None)
    with pytest.raises(SalesforceError, match="Aborting already Aborted Job"):
        opened.jobs.abort(job.id)


def test_a_job_whose_field_vanishes_before_it_runs_fails_with_salesforces_words(opened: Org) -> None:
    with opened.store.database.write():
        job = opened.jobs.create(query="SELECT Id, Division FROM User", **QUERY)
        opened.change_schema(action="hide", sobject="User", definition={"name": "Division"})
    opened.jobs.close()
    failed = opened.jobs.get(job.id)
    assert failed.state == "Failed"
    assert failed.error is not None
    assert failed.error.startswith("InvalidBatch : Failed to process query: INVALID_FIELD: \nSELECT Id, Division")
    opened.jobs.delete(job.id)
    assert opened.jobs.states() == {}


def test_a_job_that_a_crash_left_running_is_failed_after_the_restart(opened: Org) -> None:
    job = opened.jobs.create(query="SELECT Id FROM User", **QUERY)
    opened.jobs.close()
    with opened.store.database.write() as connection:
        connection.execute("UPDATE jobs SET state = 'InProgress'")
    again = open_org(opened.home)
    assert again.jobs.get(job.id).state == "Failed"
    again.close()
