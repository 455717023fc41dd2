"""The bundle, unpacked where there is no project, at the pins of both of MWAA's Airflows: it parses, and a DAG runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deploy.bundle import build_bundle, known_airflows
from local.org.handle import OrgHandle, start_org
from tests.e2e.conftest import ask_lake
from tests.packaging.bare_layout import BareLayout
from tests.packaging.virtualenvs import PROJECT, run

SIX, NOON = datetime(2026, 1, 5, 6, tzinfo=UTC), datetime(2026, 1, 5, 12, tzinfo=UTC)

#: The laptop's engine in dbt's virtualenv: it stands in for Athena, which a test of its own is about.
DUCKDB = (
    "dbt-duckdb==1.11.1",
    "duckdb==1.5.5",
    *(f"duckdb-extension-{name}==1.5.5" for name in ("avro", "httpfs", "iceberg")),
    "pyiceberg[pyarrow,pyiceberg-core,sql-sqlite]==0.11.1",
)

#: Up to the history: the first run is there so that the second one has something to close. Of a whole task id.
BEFORE_THE_HISTORY = r"take_turn|dbt_scd2\..+|rebuild_history|publish_metrics"

ADA, BO, CY = ("005Sim00000000" + end for end in ("1IAA", "2IAA", "3IAA"))
EVENTS = [
    ("2026-01-05T01:00:00Z", "insert", ADA, {"Name": "Ada", "Division": "North", "Audit_Phase__c": "Phase1"}),
    ("2026-01-05T02:00:00Z", "insert", BO, {"Name": "Bo", "Division": "East", "Audit_Phase__c": "Phase1"}),
    ("2026-01-05T07:00:00Z", "update", ADA, {"Division": "South"}),
    ("2026-01-05T08:00:00Z", "update", BO, {"Name": "Bo Renamed"}),
    ("2026-01-05T09:00:00Z", "insert", CY, {"Name": "Cy", "Division": "West", "Audit_Phase__c": "Phase2"}),
]
#: By hand: a change of Division opens a version, one of the name does not.
DIMENSION = [
    (ADA, "Ada", "North", "2026-01-05 01:00:00", "2026-01-05 07:00:00", "false"),
    (ADA, "Ada", "South", "2026-01-05 07:00:00", "", "true"),
    (BO, "Bo Renamed", "East", "2026-01-05 02:00:00", "", "true"),
    (CY, "Cy", "West", "2026-01-05 09:00:00", "", "true"),
]

#: As the triggerer begins: then it imports triggers and callbacks of deadlines by name, without a DAG bundle. And as a
#: DAG processor goes on.
_LOOK = """
import importlib.util, json, os, sys
before = importlib.util.find_spec("salesforce_history") is not None
from airflow.jobs.job import Job
from airflow.jobs.triggerer_job_runner import TriggererJobRunner
job = Job()
TriggererJobRunner(job)
job.prepare_for_execution()
from airflow._shared.module_loading import import_string
names = [
    "salesforce_history.run_ended.RunEndedTrigger",
    "salesforce_history.change_queue.ChangeQueueTrigger",
    "salesforce_history.alerts.lateness.tell_if_late",
    "salesforce_history.alerts.late_runs.look",
]
by_name = {name: sys.modules[import_string(name).__module__].__file__ for name in names}
from airflow.dag_processing.dagbag import BundleDagBag
from pathlib import Path
dags = Path(os.environ["AIRFLOW_HOME"], "dags")
bag = BundleDagBag(dag_folder=str(dags), bundle_path=dags, bundle_name="dags-folder")
from include.config.environment import PROJECT_ROOT
from salesforce_history import dag_version
manifest, pipeline = dags / "dbt/target/manifest.json", dags / "salesforce_history/pipeline.py"
known, text = dag_version._sources(manifest), pipeline.read_text()
pipeline.write_text(text + "# another\\n")
dag_version._sources.cache_clear()
changed = dag_version._sources(manifest) != known
pipeline.write_text(text)
found = {
    "changed": changed,
    "python": list(sys.version_info[:2]),
    "before": before,
    "by_name": by_name,
    "errors": bag.import_errors,
    "dags": sorted(bag.dags),
    "files": sorted({os.path.relpath(dag.fileloc, dags) for dag in bag.dags.values()}),
    "deadlines": len(bag.dags["sf_user_pipeline"].deadline),
    "root": str(PROJECT_ROOT),
    "dbt": sorted(name for name in sys.modules if name == "dbt" or name.startswith("dbt.")),
    "modules": sorted({getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}),
}
print("RESULT" + json.dumps(found))
"""


@pytest.fixture(scope="module", params=known_airflows())
def layout(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BareLayout:
    """One unpacked bundle, started up as a worker."""
    place = tmp_path_factory.mktemp("mwaa")
    bundle = build_bundle(place / "bundle", "development", {}, airflow=request.param)
    unpacked = BareLayout(place / "airflow", bundle, dbt_extras=DUCKDB)
    unpacked.start_up("worker")
    unpacked.make_database()
    return unpacked


@pytest.fixture(scope="module")
def looked(layout: BareLayout) -> dict[str, Any]:
    """What a process of that Airflow finds."""
    return json.loads(layout.run_python("-c", _LOOK).split("RESULT", 1)[1].splitlines()[0])


@pytest.fixture
def org(tmp_path: Path) -> Iterator[OrgHandle]:
    """The simulated org, outside: a process of the test's own."""
    events = tmp_path / "events.jsonl"
    events.write_text(
        "".join(
            json.dumps({"at": at, "op": op, "object": "User", "Id": who, "fields": fields}) + "\n"
            for at, op, who, fields in EVENTS
        ),
        encoding="utf-8",
    )
    with start_org(tmp_path / "org") as running:
        running.load_events(events)
        yield running


def test_every_dag_parses_without_the_project(layout: BareLayout, looked: dict[str, Any]) -> None:
    assert looked["errors"] == {}
    assert looked["dags"] == ["lakehouse_maintenance", "sf_account_pipeline", "sf_history_watch", "sf_user_pipeline"]
    assert looked["files"] == sorted(path.name for path in (PROJECT / "dags").glob("*.py"))
    assert looked["deadlines"] > 0
    assert looked["dbt"] == []
    assert looked["root"] == str(layout.dags)
    strangers = [file for file in looked["modules"] if file.startswith(f"{PROJECT}{os.sep}") and ".engines" not in file]
    assert strangers == []


def test_the_triggerer_finds_what_it_imports_by_name(layout: BareLayout, looked: dict[str, Any]) -> None:
    """Airflow 3 puts the DAG folder on no path but the DAG processor's and the task's."""
    assert looked["before"] is False
    assert all(Path(file).is_relative_to(layout.dags) for file in looked["by_name"].values()), looked["by_name"]


def test_startup_finds_its_work_done(layout: BareLayout) -> None:
    """MWAA sources it at every start of a worker."""
    dbt = Path(layout.variables()["SF_HISTORY_DBT_EXECUTABLE"])
    made = (dbt.parents[1] / ".made-of").stat().st_mtime_ns
    printed = layout.start_up("worker")
    assert printed.strip() == f"sf-history startup (worker): dbt is there already: {dbt}"
    assert (dbt.parents[1] / ".made-of").stat().st_mtime_ns == made
    assert layout.variables()["SF_HISTORY_DBT_EXECUTABLE"] == str(dbt)
    run(dbt.with_name("python"), "-c", "import dbt.adapters.athena")


def test_a_change_of_the_code_is_another_version_of_the_dag(looked: dict[str, Any]) -> None:
    """Else Airflow 3.2 forgets the deadlines: in the bundle the sources are elsewhere than in the project."""
    assert looked["changed"] is True


def test_a_run_goes_end_to_end(layout: BareLayout, org: OrgHandle) -> None:
    lake = layout.root / "lake"
    iceberg = {"type": "sql", "uri": f"sqlite:///{lake}/catalog.db", "warehouse": f"file://{lake}/warehouse"}
    lake.mkdir()
    outside = {
        "AIRFLOW_CONN_SALESFORCE_DEFAULT": json.dumps(org.connection()),
        "AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps({"conn_type": "iceberg", "extra": iceberg}),
        "REQUESTS_CA_BUNDLE": str(org.ca_bundle),
        "CURL_CA_BUNDLE": str(org.ca_bundle),
        "SF_HISTORY_ENV": "local",
        "SF_HISTORY_DBT_TARGET": "local",
        "SF_HISTORY_LAKE": str(lake),
        "SF_HISTORY_ROOT": str(PROJECT),
        "SF_HISTORY_RETRY_DELAY_SECONDS": "1",
    }
    shipped = files(layout.dags)

    org.set_clock(SIX)
    first = layout.run_dag("sf_user_pipeline", SIX, pretend=BEFORE_THE_HISTORY, **outside)
    dimension = lake / "warehouse" / "sf_curated" / "dim_sf_user_scd"
    assert not dimension.exists(), "the first run was to end before the history"
    org.set_clock(NOON)
    second = layout.run_dag("sf_user_pipeline", NOON, **outside)

    assert dimension.is_dir()
    assert first["upsert_raw"] == "success"
    assert {state for task, state in second.items() if task != "rebuild_history"} == {"success"}, second
    assert second["rebuild_history"] == "skipped"
    rows = ask_lake(
        layout.root,
        "select user_id, name, division, effective_from, effective_to, is_current from sf_curated.dim_sf_user_scd "
        "order by user_id, effective_from",
    )
    assert [tuple(row.values()) for row in rows] == DIMENSION
    (recorded,) = ask_lake(layout.root, "select state from sf_ops.pipeline_runs")
    assert recorded["state"] == "success"
    assert files(layout.dags) == shipped, "a run writes into the DAG folder, which MWAA overwrites at any moment"


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
