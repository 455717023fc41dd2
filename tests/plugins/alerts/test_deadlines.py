"""SLAs as deadlines of the DAGs: what they watch, that they survive Airflow, and that they disturb nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.airflow_process import PROJECT, answer_of, run_in_airflow

_PRELUDE = """
import json, sys
from pathlib import Path
import yaml
from include.config.environment import current_environment
from include.config.object_file import ObjectFile, read_object_files

def with_slas(noun="user", **slas):
    document = yaml.safe_load((Path(sys.argv[1]) / "include" / "objects" / f"{noun}.yml").read_text())
    return ObjectFile.model_validate({**document, "slas": slas})

def answer(what):
    print("ANSWER" + json.dumps(what))
"""


def in_airflow(home: Path, script: str, **variables: str) -> Any:
    """What a script answers in a process that has Airflow under a home of its own."""
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
        **variables,
    }
    done = run_in_airflow(home, _PRELUDE + script, str(PROJECT), **settings)
    found = answer_of(done)
    return found if found is not None else done.stdout + done.stderr


_SLAS = {
    "each": {
        "run": "30m", "extract": "10m", "upsert": "10m", "each_model": "20m", "models": {"dim_sf_user_scd": "25m"},
        "escalate_after": "15m",
    },
    "none": {"run": None},
    "some": {"run": "30m", "each_model": "20m"},
    "misspelt": {"models": {"dim_sf_usr_scd": "1h"}},
}  # fmt: skip

_DEADLINES = f"""
import os
from salesforce_history.pipeline import build_pipeline

def deadlines(slas):
    try:
        dag = build_pipeline(with_slas(**slas), current_environment())
    except Exception as problem:
        return [type(problem).__name__, str(problem)]
    return [(each.interval.total_seconds(), each.callback.path, each.callback.kwargs) for each in dag.deadline]

found = {{}}
for execution in ("local", "watcher"):
    os.environ["SF_HISTORY_DBT_EXECUTION"] = execution
    found[execution] = {{name: deadlines(slas) for name, slas in {_SLAS!r}.items()}}
answer(found)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Airflow's, without a database."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def deadlines(home: Path) -> dict[str, Any]:
    """The deadlines of a pipeline by dbt's execution and by SLAs, or why it has none."""
    found: dict[str, Any] = in_airflow(home, _DEADLINES, PYTHONHASHSEED="1")
    return found


@pytest.mark.parametrize("execution", ["local", "watcher"])
def test_each_sla_is_two_deadlines_and_equal_ones_share_them(deadlines: dict[str, Any], execution: str) -> None:
    found = deadlines[execution]["each"]
    assert {path for _, path, _ in found} == {"salesforce_history.alerts.lateness.tell_if_late"}
    moments = [(seconds / 60, watch["escalate_seconds"] / 60, sorted(watch["groups"])) for seconds, _, watch in found]
    models = [
        "dim_sf_user_current", "int_sf_user_changes", "int_sf_user_versions", "sf_user_snapshot", "stg_sf_user",
        "stg_sf_user_changes",
    ]  # fmt: skip
    assert moments == [
        (10, 0, ["extract", "upsert"]),
        (25, 15, ["extract", "upsert"]),
        (20, 0, models),
        (35, 15, models),
        (25, 0, ["dim_sf_user_scd"]),
        (40, 15, ["dim_sf_user_scd"]),
        (30, 0, ["run"]),
        (45, 15, ["run"]),
    ]
    groups = {name: tasks for _, _, watch in found for name, tasks in watch["groups"].items()}
    assert groups["extract"] == ["check_source", "extract", "validate"]
    assert groups["upsert"] == ["upsert_raw"]
    cross_check = "dbt_scd2.dim_sf_user_agrees_with_snapshot_test"
    assert groups["int_sf_user_changes"] == ["take_turn", "dbt_scd2.int_sf_user_changes_run"]
    assert groups["dim_sf_user_scd"] == [
        "take_turn", "dbt_scd2.dim_sf_user_scd.run", "dbt_scd2.dim_sf_user_scd.test", cross_check,
    ]  # fmt: skip
    assert groups["sf_user_snapshot"] == ["take_turn", "dbt_scd2.sf_user_snapshot_snapshot", cross_check]
    assert groups["run"][:4] == ["check_source", "extract", "validate", "upsert_raw"]
    assert groups["run"][-2:] == ["rebuild_history", "publish_metrics"]
    assert {task for tasks in groups.values() for task in tasks} == set(groups["run"])
    assert all(len(json.dumps(watch)) < 4000 for _, _, watch in found)


def test_no_sla_is_no_deadline(deadlines: dict[str, Any]) -> None:
    assert deadlines["local"]["none"] == deadlines["watcher"]["none"] == []


def test_deadlines_are_the_same_in_every_process(deadlines: dict[str, Any], home: Path) -> None:
    assert in_airflow(home, _DEADLINES, PYTHONHASHSEED="2") == deadlines


def test_an_sla_of_a_model_that_there_is_not_says_which_there_are(deadlines: dict[str, Any]) -> None:
    assert deadlines["local"]["misspelt"] == [
        "ObjectFileError",
        "the object file of User: slas.models: dim_sf_usr_scd is no dbt model of the object; allowed are "
        "dim_sf_user_current, dim_sf_user_scd, int_sf_user_changes, int_sf_user_versions, sf_user_snapshot, "
        "stg_sf_user, stg_sf_user_changes",
    ]


#: First what the scheduler loads, then an older Airflow: nothing that asks Airflow for deadlines is loaded until then.
_OLDER = """
import airflow.sdk, logging
before = set(sys.modules)
import salesforce_history.alerts.lateness
loaded = sorted({name.split(".")[0] for name in set(sys.modules) - before})
assert "salesforce_history.alerts.deadlines" not in sys.modules

known = airflow.sdk.__getattr__
def older(name):
    if name in ("AsyncCallback", "DeadlineAlert", "DeadlineReference"):
        raise AttributeError(name)
    return known(name)
airflow.sdk.__getattr__ = older
said = []
class Keep(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger("salesforce_history.alerts.deadlines").addHandler(Keep())
from salesforce_history.pipeline import build_pipelines
dags = build_pipelines()
answer([loaded, sorted(dags), [dag.deadline for dag in dags.values()], said])
"""


@pytest.fixture(scope="module")
def older(home: Path) -> list[Any]:
    """What the callback loads; then DAGs, their deadlines, and what is said where Airflow has none."""
    found: list[Any] = in_airflow(home, _OLDER)
    return found


def test_an_airflow_without_deadlines_says_once_what_is_lost_and_has_its_dags(older: list[Any]) -> None:
    assert older[1:3] == [["sf_account_pipeline", "sf_user_pipeline"], [None, None]]
    (said,) = older[3]
    assert "has no deadlines" in said
    assert "missed SLAs are not told of" in said


def test_the_callback_costs_the_scheduler_no_imports(older: list[Any]) -> None:
    assert set(older[0]) <= {"asgiref", "salesforce_history", "concurrent", "queue", "typing_extensions"}


_VERSIONS = """
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.dagbag import DBDagBag
from airflow.models.deadline import Deadline
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from airflow.sdk import timezone
from sqlalchemy import func, select
import os

manager = DagBundlesManager()
manager.sync_bundles_to_db()
(bundle,) = manager.get_all_dag_bundles()
bundle.initialize()
found = []
for delay in ("60", "60", "90"):
    # What the tasks are like changes; what their deadlines are does not.
    os.environ["SF_HISTORY_RETRY_DELAY_SECONDS"] = delay
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    with create_session() as session:
        sync_bag_to_db(bag, bundle.name, bundle.version, session=session)
    with create_session() as session:
        dag = DBDagBag().get_latest_version_of_dag("sf_user_pipeline", session=session)
        now = timezone.utcnow()
        run = dag.create_dagrun(
            run_id=f"manual__{now.isoformat()}", run_after=now, run_type=DagRunType.MANUAL, session=session,
            triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.QUEUED,
        )
        session.flush()
        count = session.scalar(select(func.count()).select_from(Deadline).where(Deadline.dagrun_id == run.id))
        found.append([str(run.created_dag_version_id), count])
answer(found)
"""


_FINGERPRINTS = """
import os
from airflow.serialization.serialized_objects import DagSerialization
from airflow.models.serialized_dag import SerializedDagModel
from include.config import environment
from salesforce_history import dag_version
from salesforce_history.pipeline import build_pipelines

def now():
    dag_version._sources.cache_clear()
    dag = build_pipelines()["sf_user_pipeline"]
    data = DagSerialization.to_dict(dag)
    # Airflow's name for the DAG folder of this process; all processors of a deployment have the same one.
    data["dag"].pop("_processor_dags_folder", None)
    return [dag_version.dag_version(dag, current_environment()), SerializedDagModel.hash(data)]

assert str(environment.PROJECT_ROOT) == os.environ["PYTHONPATH"].split(":")[0]
found = {"as it is": now()}
os.environ["SF_HISTORY_RETRY_DELAY_SECONDS"] = "61"
found["a setting"] = now()
del os.environ["SF_HISTORY_RETRY_DELAY_SECONDS"]
known, dag_version._settings = dag_version._settings, lambda dag: list(known(dag))[1:]
found["a setting of Airflow"] = now()
dag_version._settings = known
for name, file, old, new in (
    ("an SLA", "include/objects/user.yml", "upsert: 20m", "upsert: 11m"),
    ("a task", "plugins/salesforce_history/pipeline.py", "from __future__", "# another\\nfrom __future__"),
):
    path = environment.PROJECT_ROOT / file
    text = path.read_text()
    assert old in text, file
    path.write_text(text.replace(old, new, 1))
    found[name] = now()
    path.write_text(text)
found["again"] = now()
answer(found)
"""


def test_a_dag_is_the_same_wherever_its_project_is_mounted_and_another_when_it_changes(tmp_path: Path) -> None:
    """DAG processors that disagree would take turns to make versions of it, for ever."""
    found = []
    for mount in (tmp_path / "one", tmp_path / "two" / "deeper"):
        for folder in ("dags", "include", "plugins", "dbt"):
            shutil.copytree(
                PROJECT / folder, mount / folder, ignore=shutil.ignore_patterns("__pycache__", "logs", "*.duckdb")
            )
        path = f"{mount}:{mount / 'plugins'}"
        plugins = str(mount / "plugins")
        found.append(
            in_airflow(
                tmp_path,
                _FINGERPRINTS,
                PYTHONPATH=path,
                AIRFLOW__CORE__PLUGINS_FOLDER=plugins,
                SF_HISTORY_ENV="production",
                SF_HISTORY_LAKE=str(mount / "lake"),
                SF_HISTORY_DBT_EXECUTABLE=str(mount / "dbt"),
            )
        )
    one, other = found
    assert one == other, "Airflow's own hash included"
    fingerprints = {name: fingerprint for name, (fingerprint, _) in one.items()}
    assert fingerprints.pop("again") == fingerprints["as it is"]
    assert len(set(fingerprints.values())) == len(fingerprints) == 5


_TESTED = """
from datetime import timedelta
from airflow.sdk import AsyncCallback, DeadlineAlert, DeadlineReference, task
from salesforce_history.alerts.deadlines import CALLBACK, PipelineDag

with PipelineDag("tested", schedule=None) as dag:
    task(lambda: None, task_id="only")()
dag.deadline = [DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(seconds=1), AsyncCallback(CALLBACK))]

if __name__ == "__main__":
    run = dag.test()
    print("ANSWER" + f'["{run.state.value}", {len(dag.deadline)}]')
"""


#: As `airflow db migrate` does.
_MIGRATE = """
from airflow.utils.db import upgradedb
upgradedb()
"""


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A home whose database is there, and versions and deadlines of the runs that were made in it."""
    home = tmp_path_factory.mktemp("migrated")
    return home, in_airflow(home, _MIGRATE + _VERSIONS)


def test_a_dag_with_deadlines_can_be_tested(versions: tuple[Path, list[Any]]) -> None:
    home, _ = versions
    folder = home / "tested"
    folder.mkdir()
    (folder / "tested.py").write_text(_TESTED)
    script = f"import runpy; runpy.run_path({str(folder / 'tested.py')!r}, run_name='__main__')"
    assert in_airflow(home, script, AIRFLOW__CORE__DAGS_FOLDER=str(folder)) == ["success", 1]


def test_a_dag_that_changes_keeps_its_deadlines(versions: tuple[Path, list[Any]]) -> None:
    first, again, changed = versions[1]
    assert first == again
    assert changed[0] != first[0]
    assert first[1] == changed[1] == 8
