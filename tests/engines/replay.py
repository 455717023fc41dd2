"""A scenario's runs on an engine, without Airflow: the steps of each run, then one dbt build."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pytest

from include.config.object_file import read_object_files
from include.flow import Flow
from include.salesforce.window import RunRequest
from local.faults.bench import Bench
from local.org.handle import start_org
from local.org.scenario import Run, Scenario, six_hour_runs
from tests.engines.engines import Engine, failures


def replay(
    scenario: Scenario, engine: Engine, *, noun: str = "user", on_run: Callable[[Run], None] = lambda _: None
) -> pa.Table:
    """Let an org live through a scenario, run the pipeline over every interval of it, and read the dimension.

    :param scenario: what happens in the org.
    :param engine: has an empty lake.
    :param noun: which object's pipeline runs.
    :param on_run: told of each interval before its run.
    :return: the dimension by record and time, without `_dbt_updated_at`, which differs from run to run.
    """
    object_file = read_object_files()[noun]
    flow = Flow(object_file=object_file, environment=engine.environment, catalog=engine.catalog)
    with start_org(home=engine.folder / "org") as org, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(org.ca_bundle))
        org.load_events(scenario)
        for run in six_hour_runs(scenario):
            on_run(run)
            org.set_clock(run.end)
            client = Bench.client(org.connection())
            run_id = f"manual__{run.end:%Y-%m-%dT%H:%M}"
            plan = flow.check_source(client, _request(run, object_file.object), run_id=run_id)
            flow.upsert(flow.validate(flow.extract(client, plan)))
            build(engine, noun)
    dimension = engine.rows(flow.tables.dimension).drop_columns("_dbt_updated_at")
    return dimension.sort_by([(f"{noun}_id", "ascending"), ("effective_from", "ascending")])


def build(engine: Engine, noun: str) -> None:
    """One dbt build of an object, as a run does it: models, snapshot, tests of the data.

    :param engine: has the raw tables.
    :param noun: the object.
    """
    result = engine.dbt("build", "--select", f"tag:sf_{noun}", "--exclude", "resource_type:unit_test", "sf_raw.*")
    assert result.success, failures(result)


def _request(run: Run, object_name: str) -> RunRequest:
    return RunRequest(
        kind="manual", run_after=run.end, logical_date=run.end, full_refresh=object_name in run.full_refresh
    )
