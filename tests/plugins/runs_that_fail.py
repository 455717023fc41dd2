"""Real runs of the real pipeline, one after another, and the DAG processor's own way to call their callbacks.

python runs_that_fail.py ROOT REPORT: Airflow's home, lake and org lie below ROOT; the Connections and addresses of the
receivers are in the environment. REPORT says how each run ended.
"""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.airflow_home import AirflowHome
from local.faults.world import write_world
from local.org.faults import LOGIN, Echo, Fault
from local.org.handle import start_org
from local.progress import output_to

SIX = datetime(2026, 1, 5, 6, tzinfo=UTC)


def main(root: Path, report: Path) -> None:
    """Make the runs."""
    root.mkdir(parents=True, exist_ok=True)
    home = AirflowHome(root)
    write_world(root / "world.jsonl")
    with start_org(home.org) as org:
        org.load_events(root / "world.jsonl")
        variables = home.variables(org, extra={"SF_HISTORY_RETRY_DELAY_SECONDS": "1"})
        os.environ.update(variables)
        sys.path[:0] = variables["PYTHONPATH"].split(os.pathsep)
        ended: dict[str, str] = {}
        with output_to(home.logs / "run.log"):
            home.prepare(variables, fresh=True)
            from airflow.dag_processing.dagbag import DagBag

            from local.warm import warm_up

            warm_up()
            bag = DagBag(dag_folder=variables["AIRFLOW__CORE__DAGS_FOLDER"], include_examples=False)
            dag = bag.dags["sf_user_pipeline"]
            refused = [Fault(do=Echo(status=400, style="oauth"), path=LOGIN, times=None)]
            for number, (name, faults) in enumerate({"refused": refused, "calm": []}.items()):
                end = SIX + timedelta(hours=number)
                org.set_clock(end)
                org.set_faults(faults)
                # The next run need not do its work to be one that succeeds.
                skipped = None if faults else re.compile(".*")
                run: Any = dag.test(logical_date=end, run_after=end, mark_success_pattern=skipped)
                ended[name] = str(getattr(run.state, "value", run.state))
            ended["processed"] = _through_the_processor(bag, SIX)
        report.write_text(json.dumps(ended), encoding="utf-8")


def _through_the_processor(bag: Any, end: datetime) -> str:
    """The first run's failure once more, as the scheduler asks the DAG processor to call back: in another attempt, with
    the task states and XComs of Airflow's database rather than what this process has noted."""
    import structlog
    from airflow.callbacks.callback_requests import DagCallbackRequest, DagRunContext
    from airflow.dag_processing.processor import _execute_callbacks
    from airflow.models.dagrun import DagRun
    from airflow.sdk.execution_time.supervisor import (
        InProcessSupervisorComms,
        InProcessTestSupervisor,
        set_supervisor_comms,
    )
    from airflow.utils.session import create_session

    from salesforce_history import noting

    noting._noted_here.clear()
    with create_session() as session:
        run = session.query(DagRun).filter_by(dag_id="sf_user_pipeline", logical_date=end).one()
        last = max((ti for ti in run.task_instances if ti.state == "failed"), key=lambda ti: ti.end_date)
        run.end_date += timedelta(seconds=1)
        session.flush()
        request = DagCallbackRequest(
            filepath="sf_object_pipelines.py",
            dag_id=run.dag_id,
            run_id=run.run_id,
            bundle_name="dags-folder",
            bundle_version=None,
            context_from_server=DagRunContext(dag_run=run, last_ti=last),
            is_failure_callback=True,
            msg="task_failure",
        )
        request = DagCallbackRequest.model_validate_json(request.model_dump_json())
        ti_id = last.id
    import psutil

    supervisor = InProcessTestSupervisor(
        id=ti_id,
        pid=os.getpid(),
        process=psutil.Process(),
        process_log=structlog.get_logger(),
        client=InProcessTestSupervisor._api_client(),
    )
    supervisor.comms = InProcessSupervisorComms(supervisor=supervisor)
    with set_supervisor_comms(supervisor.comms):
        _execute_callbacks(bag, [request], structlog.get_logger())
    return "called"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
