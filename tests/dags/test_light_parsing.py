"""A DAG file is parsed by the DAG processor all day long, and by every task before it works: neither imports what only
the work needs. A fresh process tells, because any other test may have imported it before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.airflow_process import PROJECT, run_in_airflow

FILES = sorted(path.name for path in (PROJECT / "dags").glob("*.py"))

#: What only the work of a task needs; and FastAPI, which Cosmos's plugin brings along.
HEAVY = (
    "boto3",
    "botocore",
    "dbt",
    "duckdb",
    "fastapi",
    "numpy",
    "pandas",
    "pyarrow",
    "pyiceberg",
    "simple_salesforce",
)

_PARSE = """
import json, subprocess, sys
from pathlib import Path

started = []
popen = subprocess.Popen.__init__

def noted(self, args, *more, **options):
    started.append(str(args))
    return popen(self, args, *more, **options)

subprocess.Popen.__init__ = noted

import airflow.dag_processing.manager
from airflow.dag_processing.dagbag import DagBag

before = set(sys.modules)
started.clear()
bag = DagBag(dag_folder=sys.argv[1], include_examples=False)
added = {name.partition(".")[0] for name in set(sys.modules) - before}
print("RESULT" + json.dumps({
    "errors": bag.import_errors,
    "dags": sorted(bag.dags),
    "added": sorted(added),
    "before": sorted({name.partition(".")[0] for name in before}),
    "started": started,
}))
"""


def parse(home: Path, file: str, *, for_task_of: str = "") -> dict[str, Any]:
    # As Airflow tells a task whose DAG it is about to draw.
    drawn = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": for_task_of} if for_task_of else {}
    done = run_in_airflow(home, _PARSE, str(PROJECT / "dags" / file), **drawn)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.split("RESULT", 1)[1])
    assert result["errors"] == {}
    return result


@pytest.mark.parametrize("file", FILES)
def test_parsing_imports_nothing_that_only_work_needs(tmp_path: Path, file: str) -> None:
    parsed = parse(tmp_path, file)
    assert parsed["dags"]
    assert set(parsed["added"]) & set(HEAVY) == set()
    # The fresh process did not have dbt or a lake either: else the line above would prove nothing.
    assert set(parsed["before"]) & {"boto3", "dbt", "duckdb", "pyarrow", "pyiceberg"} == set()
    assert parsed["started"] == []


def test_a_task_draws_its_own_dag_only(tmp_path: Path) -> None:
    assert parse(tmp_path, "sf_object_pipelines.py", for_task_of="sf_account_pipeline")["dags"] == [
        "sf_account_pipeline"
    ]
