"""A plan becomes staged Parquet: exact, complete, alike by REST and Bulk, and clean however the attempt ended."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from include.config.environment import current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.salesforce import bulk, bulk_pages
from include.salesforce.bulk import Polling
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import BulkJobFailed, IncompleteRead, QueryCursorLost, SourceUnavailable, WrongOrg
from include.salesforce.extraction import MANIFEST, extract
from include.salesforce.job_book import JobBook
from include.salesforce.read_plan import make_read_plan
from include.salesforce.stats import NoExtraction, get_extraction_stats, render_stats
from include.staging import store
from include.staging.manifest import ExtractionManifest, Window
from local.org.faults import RESULT_PAGES, RESULTS, Drop, ExpireSessions, Fault, Lose, ShortPage
from local.org.handle import OrgHandle
from tests.include.salesforce.conftest import T6, load, user_events, user_id, window

MakeClient = Callable[..., SalesforceClient]
USER = read_object_files()["user"].model_copy(update={"batch_size": 200})
ACCOUNT = read_object_files()["account"]
BOTH = pytest.mark.parametrize("api", ["rest", "bulk"])


class Read:
    """Plans and extracts into one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)

    def __call__(
        self, client: SalesforceClient, file: ObjectFile, window: Window, api: str, **options: Any
    ) -> ExtractionManifest:
        threshold = 0 if api == "bulk" else 10**9
        plan = make_read_plan(client=client, object_file=file, run_id="run", window=window, bulk_from_rows=threshold)
        return extract(client=client, plan=plan, object_file=file, staging_folder=self.folder, **options)

    def staged(self) -> list[str]:
        return sorted(path.name for path in Path(self.folder).rglob("*") if path.is_file())


@pytest.fixture
def read(tmp_path: Path) -> Read:
    return Read(tmp_path / "staging" / "extract")


def table_of(manifest: ExtractionManifest) -> pa.Table:
    return pa.Table.from_batches(store.read_batches(manifest.files)).sort_by("id").combine_chunks()


def without_empty_strings(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(place)
            table = table.set_column(place, field, pc.if_else(pc.equal(column, ""), None, column))
    return table.combine_chunks()


@BOTH
def test_every_value_arrives_to_the_letter(shared_org: OrgHandle, client_of: MakeClient, read: Read, api: str) -> None:
    manifest = read(client_of(shared_org), USER, window(), api)
    rows = {row["id"]: row for row in table_of(manifest).to_pylist()}
    events = list(user_events(500))
    assert len(rows) == len(events) == manifest.stats.rows == manifest.stats.distinct_ids == manifest.stats.counted
    for event in events:
        row, fields = rows[event["Id"]], event["fields"]
        assert row["name"] == fields["Name"]
        assert (row["division"] or None) == (fields["Division"] or None)
        assert row["audit_phase__c"] == fields["Audit_Phase__c"]
        assert (row["isactive"], row["isdeleted"]) == (fields["IsActive"], False)
        assert row["createddate"].isoformat() == event["at"].replace("Z", "+00:00")
    assert table_of(manifest).schema.names == list(USER.columns)


def test_rest_and_bulk_read_alike(shared_org: OrgHandle, client_of: MakeClient, read: Read) -> None:
    for file in (USER, ACCOUNT):
        by_rest = table_of(read(client_of(shared_org), file, window(), "rest"))
        by_bulk = table_of(read(client_of(shared_org), file, window(), "bulk"))
        assert by_rest.num_rows
        assert by_bulk.schema.equals(by_rest.schema)
        assert without_empty_strings(by_rest).equals(by_bulk)


@BOTH
def test_soft_deleted_records_are_read_as_such(
    shared_org: OrgHandle, client_of: MakeClient, read: Read, api: str
) -> None:
    rows = table_of(read(client_of(shared_org), ACCOUNT, window(), api)).to_pylist()
    assert [row["isdeleted"] for row in rows] == [True] * 5 + [False] * 35


@BOTH
def test_a_batch_holds_no_more_rows_than_it_may(
    shared_org: OrgHandle, client_of: MakeClient, read: Read, api: str
) -> None:
    seen: list[tuple[int, int]] = []
    manifest = read(
        client_of(shared_org), USER, window(), api, progress=lambda rows, expected: seen.append((rows, expected))
    )
    assert seen == [(200, 500), (400, 500), (500, 500)]
    (uri,) = manifest.files
    metadata = pq.read_metadata(uri)
    assert [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)] == [500]


@BOTH
def test_window_bounds_are_half_open(shared_org: OrgHandle, client_of: MakeClient, read: Read, api: str) -> None:
    first = window().start + timedelta(seconds=10)
    manifest = read(client_of(shared_org), USER, window(start=first, end=first + timedelta(seconds=2)), api)
    assert table_of(manifest).column("id").to_pylist() == [user_id(number) for number in range(30, 36)]


@BOTH
def test_an_empty_window_stages_nothing(shared_org: OrgHandle, client_of: MakeClient, read: Read, api: str) -> None:
    manifest = read(client_of(shared_org), USER, window(start=T6 - timedelta(minutes=1)), api)
    assert (manifest.files, manifest.stats.rows, manifest.stats.counted) == ((), 0, 0)
    assert read.staged() == [MANIFEST]


@BOTH
def test_a_full_refresh_reads_what_was_created_before_it_began(
    own_org: OrgHandle, client_of: MakeClient, read: Read, api: str
) -> None:
    touched = {"at": "2026-01-05T06:30:00Z", "op": "update", "object": "User", "Id": user_id(0)}
    new = {"at": "2026-01-05T06:30:00Z", "op": "insert", "object": "User", "Id": user_id(9), "fields": {"Name": "new"}}
    load(own_org, *user_events(3), touched | {"fields": {"Division": "Moved"}}, new)
    own_org.set_clock(T6 + timedelta(minutes=30))
    rows = table_of(read(client_of(own_org), USER, window(full=True), api)).to_pylist()
    # Touched after the window's end: there all the same. Created in the second of the read: the next window's.
    assert [row["id"] for row in rows] == [user_id(0), user_id(1), user_id(2)]
    assert rows[0]["division"] == "Moved"


@BOTH
def test_a_row_that_appears_while_pages_are_read_is_read_too(
    own_org: OrgHandle,
    client_of: MakeClient,
    read: Read,
    api: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load(own_org, *user_events(5))
    late = list(user_events(2, first=700))

    def insert(rows: int, expected: int) -> None:
        if late:
            load(own_org, late.pop())

    manifest = read(client_of(own_org), USER, window(), api, progress=insert)
    assert (manifest.stats.reads, manifest.stats.rows, manifest.stats.counted) == (3, 7, 7)
    assert table_of(manifest).num_rows == 7
    assert "Salesforce counts 6" in caplog.text
    assert own_org.stats()["bulk_jobs"] == {}


def test_a_read_that_is_never_complete_fails(
    shared_org: OrgHandle,
    client_of: MakeClient,
    read: Read,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = client_of(shared_org)
    counts: list[int] = []
    monkeypatch.setattr(client, "count", lambda *_, **__: counts.append(1) or 501)
    with pytest.raises(IncompleteRead, match=r"500 distinct records arrived, Salesforce counts 501 .*3 times"):
        read(client, USER, window(), "rest")
    assert len(counts) == 1 + 3


def test_a_lost_query_cursor_starts_the_read_again(
    shared_org: OrgHandle,
    client_of: MakeClient,
    read: Read,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = client_of(shared_org)
    answered, lost = client.get_json, []

    def forgetful(path: str, **request: Any) -> Any:
        if path.startswith("/") and not lost:
            lost.append(path)
            raise QueryCursorLost("reading User: Salesforce answered 400 INVALID_QUERY_LOCATOR.")
        return answered(path, **request)

    monkeypatch.setattr(client, "get_json", forgetful)
    manifest = read(client, USER, window(), "rest")
    assert lost
    assert (manifest.stats.reads, manifest.stats.rows) == (2, 500)
    assert table_of(manifest).num_rows == 500


def test_bulk_jobs_are_deleted_whether_they_end_well_or_not(
    own_org: OrgHandle,
    client_of: MakeClient,
    read: Read,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load(own_org, *user_events(5))
    read(client_of(own_org), USER, window(), "bulk")
    assert own_org.stats()["bulk_jobs"] == {}

    def broken(*args: Any, **request: Any) -> Any:
        raise SourceUnavailable("reading User by Bulk: gone.")

    client = client_of(own_org)
    monkeypatch.setattr(client, "download", broken)
    with pytest.raises(SourceUnavailable):
        read(client, USER, window(), "bulk")
    with pytest.raises(BulkJobFailed, match="has not ended after 0 s"):
        read(client_of(own_org), USER, window(), "bulk", polling=Polling(total=0))
    assert own_org.stats()["bulk_jobs"] == {}


def test_what_a_killed_attempt_left_is_cleaned_up(own_org: OrgHandle, client_of: MakeClient, read: Read) -> None:
    load(own_org, *user_events(5))
    manifest = read(client_of(own_org), USER, window(), "rest")
    book = JobBook(client_of(own_org), f"{read.folder}_jobs", manifest.plan)
    book.create(operation="query", query=lambda fields: f"SELECT {', '.join(fields)} FROM User", what="dying")
    store.write_text(store.join(read.folder, "rows-00007.parquet"), "half a file")
    manifest = read(client_of(own_org), USER, window(), "rest")
    assert own_org.stats()["bulk_jobs"] == {}
    assert read.staged() == [MANIFEST, "rows-00000.parquet"]
    again = read(client_of(own_org), USER, window(), "rest")
    assert again.files == manifest.files
    assert table_of(again).num_rows == 5


@BOTH
def test_a_session_that_expires_in_the_middle_changes_nothing(
    own_org: OrgHandle, client_of: MakeClient, read: Read, api: str
) -> None:
    load(own_org, *user_events(500))
    manifest = read(client_of(own_org), USER, window(), api, progress=lambda *_: own_org.expire_sessions())
    assert (manifest.stats.reads, table_of(manifest).num_rows) == (1, 500)


def test_another_org_is_refused(shared_org: OrgHandle, client_of: MakeClient, tmp_path: Path) -> None:
    client = client_of(shared_org)
    plan = make_read_plan(client=client, object_file=USER, run_id="run", window=window())
    other = plan.model_copy(update={"org_id": "00Dx0000000BV7zEAG"})
    with pytest.raises(WrongOrg, match=f"00Dx0000000BV7zEAG, the connection leads to {shared_org.org_id}"):
        extract(client=client, plan=other, object_file=USER, staging_folder=str(tmp_path))


def test_no_secret_is_staged_or_logged(
    shared_org: OrgHandle,
    client_of: MakeClient,
    read: Read,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="include")
    read(client_of(shared_org), USER, window(), "bulk")
    who = shared_org.credentials
    told = caplog.text.encode() + b"".join(path.read_bytes() for path in Path(read.folder).rglob("*") if path.is_file())
    for secret in (who.consumer_secret, who.consumer_key, who.password, who.security_token, "Bearer", f"{who.org_id}!"):
        assert secret.encode() not in told
    assert "read 500 of about 500 User records" in caplog.text


def test_the_numbers_of_a_run_can_be_asked_for_later(
    shared_org: OrgHandle, client_of: MakeClient, tmp_path: Path
) -> None:
    environment = current_environment({"SF_HISTORY_LAKE": str(tmp_path)})
    with pytest.raises(NoExtraction, match="Account is on the staging store"):
        get_extraction_stats(environment=environment, object_file=ACCOUNT)
    made = []
    for run_id in ("manual__1:00+00:00", "manual__2:00+00:00"):
        client = client_of(shared_org)
        plan = make_read_plan(client=client, object_file=ACCOUNT, run_id=run_id, window=window())
        folder = store.run_folder(
            staging_uri=environment.staging_uri, table=ACCOUNT.table, run_id=run_id, step="extract"
        )
        made.append(extract(client=client, plan=plan, object_file=ACCOUNT, staging_folder=folder))
    assert get_extraction_stats(environment=environment, object_file=ACCOUNT) == made[1]
    first = get_extraction_stats(environment=environment, object_file=ACCOUNT, run_id="manual__1:00+00:00")
    assert first == made[0]
    stats = first.stats
    assert (stats.rows, stats.reads, stats.counted) == (40, 1, 40)
    assert stats.api_calls == 3
    assert stats.bytes_staged == sum(Path(uri).stat().st_size for uri in first.files)
    assert "40 (40 distinct Ids, Salesforce counts 40)" in render_stats(first)
    with pytest.raises(NoExtraction, match=r"run 'gone'.*manual__1:00"):
        get_extraction_stats(environment=environment, object_file=ACCOUNT, run_id="gone")


def test_pages_side_by_side_stage_the_same_files_as_one_behind_the_other(
    shared_org: OrgHandle, client_of: MakeClient, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eleven pages; of one the connection breaks, of another the session expires while its neighbour comes."""
    alone = read(client_of(shared_org), USER, window(), "bulk")
    expected = [pq.read_table(uri) for uri in alone.files]
    monkeypatch.setattr(bulk, "PARALLEL_FROM", 0)
    monkeypatch.setattr(bulk_pages, "AT_ONCE", 4)
    shared_org.set_faults(
        [
            Fault(do=ShortPage(rows=48), path=RESULT_PAGES, times=None),
            Fault(do=Drop(after=0.5), path=RESULTS, nth=3),
            Fault(do=ExpireSessions(), path=RESULTS, nth=6),
        ]
    )
    client = client_of(shared_org)
    client.sleep = lambda _: None
    try:
        together = read(client, USER, window(), "bulk")
        short, dropped, expired = shared_org.faults_struck()
        # Three lists of pages; once more, if the session expires just then.
        assert short in {3, 4}
        assert (dropped, expired) == (1, 1)
    finally:
        shared_org.clear_faults()
    assert [pq.read_table(uri) for uri in together.files] == expected
    assert together.stats.reads == 1
    assert shared_org.stats()["bulk_jobs"] == {}


def test_a_read_whose_pages_lacked_records_goes_by_locators(
    shared_org: OrgHandle, client_of: MakeClient, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PARALLEL_FROM", 0)
    read(client_of(shared_org), USER, window(), "bulk")
    once = shared_org.stats()["api"]["calls_by_resource"]["bulkResultPages"]
    shared_org.set_faults([Fault(do=Lose(rows=1), path=RESULTS, nth=1)])
    try:
        manifest = read(client_of(shared_org), USER, window(), "bulk")
    finally:
        shared_org.clear_faults()
    assert (manifest.stats.reads, manifest.stats.rows) == (2, 500)
    assert shared_org.stats()["api"]["calls_by_resource"]["bulkResultPages"] == once + 1


def test_a_bulk_read_does_not_load_pandas(shared_org: OrgHandle, tmp_path: Path) -> None:
    """It takes a third of a second and 50 MB, and Arrow loads it for the first Python value that it is given."""
    script = (
        "import sys; from tests.include.salesforce.test_extraction import USER, Read, window; import json, pathlib\n"
        "from simple_salesforce import Salesforce; from include.salesforce.client import SalesforceClient\n"
        "from include.salesforce.http import http_session\n"
        "client = SalesforceClient(lambda: Salesforce(session=http_session(), **json.loads(sys.argv[1])))\n"
        "assert 'pandas' not in sys.modules\n"
        "found = Read(pathlib.Path(sys.argv[2]))(client, USER, window(), 'bulk')\n"
        "assert found.stats.rows == 500 and 'pandas' not in sys.modules"
    )
    subprocess.run(
        [sys.executable, "-c", script, json.dumps(shared_org.connection()["extra"]), str(tmp_path)],
        cwd=Path(__file__).resolve().parents[3],
        env={"REQUESTS_CA_BUNDLE": str(shared_org.ca_bundle), "PATH": ""},
        check=True,
    )
