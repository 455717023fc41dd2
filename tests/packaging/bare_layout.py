"""A bundle as MWAA unpacks it: dags/, plugins/ and startup.sh under Airflow's home, and no project anywhere near.

Airflow runs in a virtualenv at MWAA's pins, dbt in the one that startup.sh makes. What stands in for AWS comes in
through environment variables; the bundle itself is never touched.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import yaml

from deploy.bundle import Bundle
from tests.packaging.virtualenvs import PROJECT, install, kept_folder, mwaa_python, run, virtualenv

#: What of the machine's environment a container on MWAA has as well, or what the way to a package index needs.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
_KEPT_PREFIXES = ("PIP_", "UV_")


class BareLayout:
    """One unpacked bundle, and the Airflow that runs it.

    :param root: Airflow's home, `/usr/local/airflow` on MWAA; has to be empty.
    :param bundle: what is unpacked.
    :param dbt_extras: packages for dbt's virtualenv besides what startup.sh installs: an engine that AWS does not need.
    """

    def __init__(self, root: Path, bundle: Bundle, *, dbt_extras: Sequence[str] = ()) -> None:
        self.root, self.bundle, self._dbt_extras = root, bundle, tuple(dbt_extras)
        shutil.copytree(bundle.dags, root / "dags")
        with zipfile.ZipFile(bundle.plugins) as archive:
            archive.extractall(root / "plugins")
        shutil.copyfile(bundle.startup, root / "startup.sh")
        self.dags, self.constraints = root / "dags", root / "dags" / "constraints.txt"
        self.airflow_venv = virtualenv(f"airflow-{bundle.airflow}", bundle.requirements, self.constraints)
        self.python = self.airflow_venv / "bin" / "python"
        self._exported: dict[str, str] = {}

    def start_up(self, component: str = "worker", **variables: str) -> str:
        """Source startup.sh as MWAA does; what it exports is part of every later call.

        :param component: MWAA_AIRFLOW_COMPONENT: worker, scheduler or webserver.
        :param variables: environment variables besides MWAA's own.
        :return: what it printed.
        """
        before = {**self._container(component), **variables}
        if component == "worker" and "SF_HISTORY_DBT_VENV" not in before:
            before["SF_HISTORY_DBT_VENV"] = str(self._kept_dbt_venv(before))
        printed, self._exported = source(self.root / "startup.sh", before)
        return printed

    def variables(self, **extra: str) -> dict[str, str]:
        """The environment of Airflow and its tasks.

        :param extra: what stands in for AWS, and wins.
        """
        return {
            **self._container("worker"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.root}/airflow.db",
            "AIRFLOW__COSMOS__CACHE_DIR": str(self.root / "cosmos"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._exported,
            **extra,
        }

    def airflow(self, *arguments: str, expect: int = 0, **extra: str) -> str:
        """Run Airflow's command line, far away from the project.

        :param arguments: such as `dags`, `list`.
        :param expect: the exit code.
        :param extra: environment variables, see `variables`.
        :return: what it printed.
        """
        return self.run_python("-m", "airflow", *arguments, expect=expect, **extra)

    def run_python(self, *arguments: str, expect: int = 0, **extra: str) -> str:
        """Run the Python that Airflow is in.

        :param arguments: of the interpreter.
        :param expect: the exit code.
        :param extra: environment variables, see `variables`.
        :return: what it printed.
        """
        done = subprocess.run(
            [str(self.python), *arguments],
            env=self.variables(**extra),
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expect, (
            f"{arguments}: {done.returncode}\n{done.stdout[-9000:]}\n{done.stderr[-5000:]}"
        )
        return done.stdout + done.stderr

    def make_database(self) -> None:
        """Airflow's database with the pools of airflow_settings.yaml; a migration is run once for a version."""

        def make(folder: Path) -> None:
            folder.mkdir(parents=True)
            place = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db"}
            self.airflow("db", "migrate", **place)
            (folder / "pools.json").write_text(pools, encoding="utf-8")
            self.airflow("pools", "import", str(folder / "pools.json"), **place)

        settings = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text(encoding="utf-8"))
        pools = json.dumps(
            {
                pool["pool_name"]: {
                    "slots": pool["pool_slot"],
                    "description": pool["pool_description"],
                    "include_deferred": False,
                }
                for pool in settings["airflow"]["pools"]
            }
        )
        kept = kept_folder(f"database-{self.bundle.airflow}", self.airflow_venv.name, pools, make=make)
        shutil.copyfile(kept / "airflow.db", self.root / "airflow.db")

    def run_dag(self, dag_id: str, moment: datetime, *, pretend: str = "", **extra: str) -> dict[str, str]:
        """Run a DAG once, by `airflow dags test`.

        :param dag_id: the DAG.
        :param moment: its logical date.
        :param pretend: regular expression of whole ids of tasks that are not run and count as done.
        :param extra: environment variables, see `variables`.
        :return: the state of every task.
        """
        pretended = ["--mark-success-pattern", pretend] if pretend else []
        self.airflow("dags", "test", dag_id, moment.isoformat(), *pretended, **extra)
        with sqlite3.connect(self.root / "airflow.db") as database:
            found = database.execute(
                "select t.task_id, t.state from task_instance t join dag_run r on r.dag_id = t.dag_id and "
                "r.run_id = t.run_id where r.dag_id = ? and r.logical_date = ?",
                (dag_id, moment.strftime("%Y-%m-%d %H:%M:%S.%f")),
            )
            return dict(found.fetchall())

    def _container(self, component: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith(_KEPT_PREFIXES)}
        kept["PATH"] = os.pathsep.join([str(self.airflow_venv / "bin"), kept["PATH"]])
        return {**kept, "AIRFLOW_HOME": str(self.root), "MWAA_AIRFLOW_COMPONENT": component, "PIP_USER": "1"}

    def _kept_dbt_venv(self, before: Mapping[str, str]) -> Path:
        """Where startup.sh finds its work done already, and the engine beside it, from the second test on."""

        def make(folder: Path) -> None:
            source(self.root / "startup.sh", {**before, "SF_HISTORY_DBT_VENV": str(folder)})
            if self._dbt_extras:
                pins = folder / "pins.txt"
                pins.write_text(run(folder / "bin" / "python", "-m", "pip", "freeze"), encoding="utf-8")
                install(folder, *self._dbt_extras, constraints=pins)

        startup = (PROJECT / "deploy" / "mwaa" / "startup.sh").read_text(encoding="utf-8")
        pins = (PROJECT / "deploy" / "mwaa" / "dbt-requirements.txt").read_text(encoding="utf-8")
        return kept_folder("dbt", str(mwaa_python()), startup, pins, *self._dbt_extras, make=make)


def source(startup: Path, before: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What startup.sh prints, and the variables that are there after it and were not, or not so, before.

    :param startup: the script.
    :param before: the environment that it finds.
    """
    listing = startup.with_suffix(".exported")
    command = f'source "{startup}"; env -0 > "{listing}"'
    done = subprocess.run(["bash", "-c", command], env=dict(before), capture_output=True, text=True, check=False)
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    after = dict(pair.split("=", 1) for pair in listing.read_text(encoding="utf-8").split("\0") if pair)
    listing.unlink()
    shell = {"_", "SHLVL", "PWD", "OLDPWD"}
    return printed, {name: text for name, text in after.items() if before.get(name) != text and name not in shell}
