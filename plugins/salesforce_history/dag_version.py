"""A fingerprint of what a DAG is made of: two versions of a DAG that differ have different ones.

Airflow 3.2 forgets the deadlines of a DAG that changes while its deadlines do not: the new version's row has none, and
no run is ever late again (apache/airflow#68732). So each deadline carries this fingerprint, and changes with the DAG.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path

from airflow.sdk import DAG

from include.config.environment import PROJECT_ROOT, Environment

#: Where the sources are: on a laptop and on Astro under plugins/, in the MWAA bundle beside the DAG files.
_SOURCES = {"include": PROJECT_ROOT / "include", "salesforce_history": Path(__file__).resolve().parent}
_DAG_FILES = ("*.py", "dags/*.py")
_PACKAGES = ("apache-airflow-core", "apache-airflow-task-sdk", "astronomer-cosmos")
#: Where this processor has things. Others may have the same DAG elsewhere, and must call it the same.
_PLACES = {"lake", "staging_uri", "dbt_project", "dbt_executable"}
_PLAIN = (str, int, float, bool, timedelta)


def dag_version(dag: DAG, environment: Environment) -> str:
    """The same for the same sources, dbt manifest, packages, environment and settings of Airflow; else another.

    Paths do not count: two DAG processors that disagree would make versions of the DAG for ever. The laptop's lake
    does, because it is in the DAG: its dbt tasks carry it.

    :param dag: as it is built, but for its deadlines.
    :param environment: it was built for.
    """
    digest = hashlib.sha256(_sources(environment.dbt_project / "target" / "manifest.json"))
    digest.update(environment.model_dump_json(exclude=_PLACES).encode())
    digest.update(json.dumps(environment.dbt_variables(), sort_keys=True).encode())
    for line in _settings(dag):
        digest.update(line.encode())
    return digest.hexdigest()[:16]


def _settings(dag: DAG) -> Iterator[str]:
    """What Airflow's own settings decide of a DAG: default pools, queues, retries, limits."""
    for part in (dag, *sorted(dag.tasks, key=lambda task: task.task_id)):
        for name in sorted(part.get_serialized_fields()):
            value = getattr(part, name, None)
            if isinstance(value, _PLAIN) and name != "fileloc":
                yield f"{name}={value!r}\n"


@cache
def _sources(manifest: Path) -> bytes:
    digest = hashlib.sha256()
    for name in _PACKAGES:
        digest.update(f"{name}=={version(name)}\n".encode())
    found = {path.name: path for pattern in _DAG_FILES for path in PROJECT_ROOT.glob(pattern)}
    for name, folder in _SOURCES.items():
        files = (path for path in folder.rglob("*") if path.suffix in (".py", ".yml"))
        found |= {f"{name}/{path.relative_to(folder).as_posix()}": path for path in files}
    for name, path in sorted(found.items()):
        digest.update(name.encode())
        digest.update(path.read_bytes())
    digest.update(manifest.read_bytes())
    return digest.digest()
