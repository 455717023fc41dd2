"""What the extraction suite measures: this project's extraction, and the two ways that the stock provider offers.

Each reads the same users of the same org over TLS, and leaves typed Parquet. The org is a process of its own, started
before the clock and stopped after it, so that its work is not counted.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.extraction_data import BEGIN, end_of, org_home
from bench.measure import Clock, peak_mb
from local.org import timestamps
from local.org.faults import JOBS, RESULTS, Fault, Slow, SlowJob
from local.org.handle import OrgHandle, start_org

Facts = dict[str, float | str]

_FIELDS = ("Id", "Name", "Division", "Audit_Phase__c", "LastModifiedDate", "SystemModstamp", "IsActive", "CreatedDate")
_MOMENTS = ("LastModifiedDate", "SystemModstamp", "CreatedDate")
_FOLDER = Path("extracted")


def ours(
    clock: Clock,
    *,
    rows: int,
    stored: int,
    one_by_one: bool = False,
    rest: bool = False,
    job_seconds: float = 0,
    page_seconds: float = 0,
) -> Facts:
    """This project's extraction, planned before the clock.

    :param clock: counts the extraction.
    :param rows: users to read.
    :param stored: users that the org has.
    :param one_by_one: fetch the pages by their locators, whatever the size of the result.
    :param rest: by REST rather than by Bulk API 2.0.
    :param job_seconds: how long the Bulk job takes beyond its work.
    :param page_seconds: how long the org thinks before it sends a page.
    """
    from simple_salesforce import Salesforce

    from include.config.object_file import read_object_files
    from include.salesforce import bulk
    from include.salesforce.client import SalesforceClient
    from include.salesforce.extraction import extract
    from include.salesforce.http import http_session
    from include.salesforce.read_plan import make_read_plan
    from include.staging.manifest import Window

    user = read_object_files()["user"].model_copy(update={"bulk_from_rows": 1_000_000_000 if rest else 0})
    window = Window(start=BEGIN, end=end_of(rows), kind="manual", full_refresh=False, reason="a benchmark")
    if one_by_one:
        bulk.PARALLEL_FROM = rows
    with _org(stored, job_seconds=job_seconds, page_seconds=page_seconds) as org:
        client = SalesforceClient(lambda: Salesforce(session=http_session(), **org.connection()["extra"]))
        plan = make_read_plan(client=client, object_file=user, run_id="bench", window=window)
        planned, before = client.api_calls, peak_mb()
        with clock.running():
            manifest = extract(client=client, plan=plan, object_file=user, staging_folder=str(_FOLDER.absolute()))
    return {
        **_result(manifest.files),
        "API calls": manifest.stats.api_calls,
        "MB before": round(before),
        "API calls of the plan": planned,
        "bytes received": manifest.stats.bytes_received,
        "bytes staged": manifest.stats.bytes_staged,
    }


def bulk_records(clock: Clock, *, rows: int, stored: int, job_seconds: float = 0, page_seconds: float = 0) -> Facts:
    """The hook's connection, simple-salesforce's `bulk2`, csv.DictReader, `Table.from_pylist`.

    :param clock: counts all of it.
    :param rows: users to read.
    :param stored: users that the org has.
    :param job_seconds: how long the Bulk job takes beyond its work.
    :param page_seconds: how long the org thinks before it sends a page.
    """
    with _org(stored, job_seconds=job_seconds, page_seconds=page_seconds) as org:
        hook, before = _hook(org), peak_mb()
        with clock.running():
            records: list[dict[str, Any]] = []
            for text in hook.get_conn().bulk2.User.query(_query(rows)):
                records.extend(csv.DictReader(io.StringIO(text)))
            path = _write(pa.Table.from_pylist(records), flags_are_text=True)
    return {**_result([path]), "MB before": round(before)}


def make_query(clock: Clock, *, rows: int, stored: int) -> Facts:
    """The hook's `make_query` (REST), `Table.from_pylist`.

    :param clock: counts all of it.
    :param rows: users to read.
    :param stored: users that the org has.
    """
    with _org(stored) as org:
        hook, before = _hook(org), peak_mb()
        with clock.running():
            records = hook.make_query(_query(rows))["records"]
            for record in records:
                del record["attributes"]
            path = _write(pa.Table.from_pylist(records), flags_are_text=False)
    return {**_result([path]), "MB before": round(before)}


@contextlib.contextmanager
def _org(stored: int, *, job_seconds: float = 0, page_seconds: float = 0) -> Iterator[OrgHandle]:
    shutil.rmtree(_FOLDER, ignore_errors=True)
    _FOLDER.mkdir()
    with start_org(org_home(stored)) as org:
        faults = []
        if job_seconds:
            faults.append(Fault(do=SlowJob(seconds=job_seconds), method="POST", path=JOBS, times=None))
        if page_seconds:
            faults.append(Fault(do=Slow(seconds=page_seconds), path=RESULTS, times=None))
        org.set_faults(faults)
        org.set_limits(used=0, maximum=10_000_000)
        os.environ["REQUESTS_CA_BUNDLE"] = str(org.ca_bundle)
        yield org


def _hook(org: OrgHandle) -> Any:
    os.environ["AIRFLOW_HOME"] = str(Path("airflow").absolute())
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW_CONN_SALESFORCE_BENCH"] = json.dumps(org.connection())
    from airflow.providers.salesforce.hooks.salesforce import SalesforceHook

    return SalesforceHook("salesforce_bench")


def _query(rows: int) -> str:
    end = timestamps.iso(int(end_of(rows).timestamp()))
    return f"SELECT {', '.join(_FIELDS)} FROM User WHERE SystemModstamp < {end}"


def _write(table: pa.Table, *, flags_are_text: bool) -> str:
    """Give the columns their types, as a careful user of the stock path would, and write them."""
    columns = {}
    for name in _FIELDS:
        column = table.column(name)
        if flags_are_text:
            column = pc.if_else(pc.equal(column, ""), None, column)
        if name in _MOMENTS:
            column = pc.cast(column, pa.timestamp("us", tz="UTC"))
        if name == "IsActive" and flags_are_text:
            column = pc.equal(column, "true")
        columns[name.lower()] = column
    path = str(_FOLDER / "rows.parquet")
    pq.write_table(pa.table(columns), path)
    return path


def _result(files: Any) -> Facts:
    """How many rows there are, and a sum that tells whether two results hold the same ones, in whatever order."""
    # Not before the clock: what it takes is not the subject's.
    import duckdb

    names = ", ".join(name.lower() if name not in _MOMENTS else f"epoch_us({name.lower()})" for name in _FIELDS)
    duckdb.sql("SET memory_limit = '1GB'")
    rows, digest = duckdb.sql(
        f"SELECT count(*), sum(hash({names})) FROM read_parquet({[str(file) for file in files]})"
    ).fetchall()[0]
    return {"rows": rows, "digest": str(digest)}
