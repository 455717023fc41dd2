"""Airflow's first database on a laptop: migrated once for an Airflow and its pools, and a copy for every test's laptop.

That a laptop makes its own is a test of its own: tests/local/test_airflow_home.py.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path

from local.airflow_home import PROJECT, AirflowHome
from tests.packaging.virtualenvs import kept_folder


def with_database(root: Path) -> Path:
    """Spare a laptop the migration of its first database.

    :param root: folder of a laptop on which nothing has run.
    :return: the folder.
    """

    def make(folder: Path) -> None:
        home = AirflowHome(folder)
        home.folder.mkdir(parents=True)
        variables = {
            "AIRFLOW_HOME": str(home.folder),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home.folder}/airflow.db",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
        home.prepare(variables, fresh=True)

    settings = (PROJECT / "airflow_settings.yaml").read_text(encoding="utf-8")
    kept = AirflowHome(kept_folder("laptop", version("apache-airflow-core"), settings, make=make))
    target = AirflowHome(root).folder
    target.mkdir(parents=True)
    for pristine in kept.folder.glob("pristine-*.db"):
        shutil.copyfile(pristine, target / pristine.name)
    return root
