"""A query that is too much for Salesforce is halved in time until it answers, by REST and Bulk, and nothing is lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from include.config.object_file import read_object_files
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import QueryTooSlow
from include.salesforce.extraction import extract
from include.salesforce.filters import Span, window_span
from include.salesforce.narrowing import narrowed
from include.salesforce.read_plan import make_read_plan
from include.staging import store
from include.staging.manifest import ExtractionManifest
from local.org import faults
from local.org.faults import Answer, EndJob, Fault
from local.org.handle import OrgHandle
from tests.include.salesforce.conftest import T0, T6, load, user_events, window

MakeClient = Callable[..., SalesforceClient]
USER = read_object_files()["user"].model_copy(update={"batch_size": 200})
BOTH = pytest.mark.parametrize("api", ["rest", "bulk"])
WINDOWS = pytest.mark.parametrize("full", [True, False], ids=["full", "window"])
TIMEOUT = Answer(status=400, code="QUERY_TIMEOUT", message="Your query request was running for too long.")


def read(client: SalesforceClient, folder: Path, *, full: bool, api: str) -> ExtractionManifest:
    plan = make_read_plan(
        client=client,
        object_file=USER,
        run_id="run",
        window=window(full=full),
        bulk_from_rows=0 if api == "bulk" else 10**9,
    )
    return extract(client=client, plan=plan, object_file=USER, staging_folder=str(folder / "staging"))


def ids(manifest: ExtractionManifest) -> list[str]:
    return [key for batch in store.read_batches(manifest.files, ["id"]) for key in batch.column("id").to_pylist()]


def slow(api: str, *, nth: int, times: int) -> list[Fault]:
    if api == "rest":
        return [Fault(do=TIMEOUT, path=faults.QUERY, lacks="COUNT()", nth=nth, times=times)]
    end = EndJob(state="Failed", error="InvalidBatch : Failed to process query: QUERY_TIMEOUT: too long")
    return [Fault(do=end, method="POST", path=faults.JOBS, nth=nth, times=times)]


@BOTH
@WINDOWS
def test_a_query_that_times_out_is_halved_and_goes_on(
    own_org: OrgHandle, client_of: MakeClient, tmp_path: Path, api: str, full: bool
) -> None:
    load(own_org, *user_events(500))
    own_org.set_faults([*slow(api, nth=1, times=3), Fault(do=TIMEOUT, path=faults.QUERY, contains="COUNT()", times=2)])
    manifest = read(client_of(own_org), tmp_path, full=full, api=api)
    assert own_org.faults_struck() == [3, 2]
    assert sorted(ids(manifest)) == sorted({event["Id"] for event in user_events(500)})
    assert (manifest.stats.reads, manifest.stats.counted) == (1, 500)
    assert own_org.stats()["bulk_jobs"] == {}


def test_a_time_out_between_pages_repeats_rows_and_loses_none(
    own_org: OrgHandle, client_of: MakeClient, tmp_path: Path
) -> None:
    load(own_org, *user_events(500))
    own_org.set_faults([Fault(do=TIMEOUT, path=faults.PAGES, times=1)])
    manifest = read(client_of(own_org), tmp_path, full=False, api="rest")
    assert own_org.faults_struck() == [1]
    assert (manifest.stats.distinct_ids, manifest.stats.counted) == (500, 500)
    assert manifest.stats.rows == len(ids(manifest)) == 700


@BOTH
def test_halving_ends(own_org: OrgHandle, client_of: MakeClient, tmp_path: Path, api: str) -> None:
    load(own_org, *user_events(5))
    own_org.set_faults(slow(api, nth=1, times=10_000))
    with pytest.raises(QueryTooSlow, match=r"QUERY_TIMEOUT.*halved in time 14 times, down to SystemModstamp from"):
        read(client_of(own_org), tmp_path, full=False, api=api)
    assert own_org.faults_struck() == [15]
    assert own_org.stats()["bulk_jobs"] == {}


def test_halves_are_the_whole() -> None:
    for start, end in ((T0, T6), (None, T6), (None, None)):
        span = Span(field="CreatedDate", start=start, end=end, now=T6)
        parts = list(narrowed(span, lambda part: slow_over(part, timedelta(days=400))))
        assert (parts[0].start, parts[-1].end) == (start, end)
        assert all(one.end == other.start for one, other in itertools.pairwise(parts))
    assert (
        window_span(window(full=True), cursor="SystemModstamp", created=None, read_start=T6).field == "SystemModstamp"
    )


def slow_over(part: Span, longest: timedelta) -> Iterator[Span]:
    if part.depth < 4 and (part.start is None or (part.end or T6) - part.start > longest):
        raise QueryTooSlow("too long.")
    yield part
