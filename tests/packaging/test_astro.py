"""What `astro dev start` and `astro deploy` do with this project, as far as it can be done without Docker."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.packaging.virtualenvs import PROJECT, UV, install, kept_folder, mwaa_python, run

HOME = "/usr/local/airflow"
FILES = ("Dockerfile", ".dockerignore", "packages.txt", "requirements.txt", "airflow_settings.yaml")

#: The base image has Airflow and what Airflow needs; these stand in for it, at versions that Airflow was released with.
AIRFLOW = "3.3.1"
IMAGE = PROJECT / "deploy" / "mwaa" / f"constraints-{AIRFLOW}.txt"
#: dbt holds these back, and Airflow takes the older ones too: installing requirements.txt changes them in the image.
DBT_CHANGES = ("pathspec", "more-itertools")

_PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder=sys.argv[1])
import include
print("RESULT" + json.dumps({
    "errors": bag.import_errors,
    "dags": sorted(bag.dags),
    "pools": sorted({task.pool for dag in bag.dags.values() for task in dag.tasks}),
    "include": include.__file__,
}))
"""


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, in order, comments and line breaks resolved."""
    lines = [line for line in (PROJECT / "Dockerfile").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def image_variables() -> dict[str, str]:
    pairs = [pair for name, rest in instructions() if name == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture(scope="module")
def virtualenv() -> Path:
    """The image's Python after `pip install -r requirements.txt`."""
    python = str(mwaa_python())

    def make(folder: Path) -> None:
        run(UV, "venv", "--quiet", "--python", python, folder)
        (folder / "airflow.in").write_text(f"apache-airflow=={AIRFLOW}\n", encoding="utf-8")
        held = run(
            *(UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate"),
            *("--python", folder / "bin" / "python", "--constraint", IMAGE, folder / "airflow.in"),
        )
        pins = [line for line in held.splitlines() if line.split("==")[0] not in DBT_CHANGES]
        (folder / "image.txt").write_text("\n".join(pins), encoding="utf-8")
        install(folder, "--requirement", str(PROJECT / "requirements.txt"), constraints=folder / "image.txt")

    texts = [path.read_text(encoding="utf-8") for path in (IMAGE, PROJECT / "requirements.txt")]
    return kept_folder("astro", python, *DBT_CHANGES, *texts, make=make)


@pytest.fixture(scope="module")
def image(virtualenv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is copied into the image, after the Dockerfile's own commands."""
    root = tmp_path_factory.mktemp("astro") / "airflow"
    ignored = [line for line in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line]

    def ignore(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(PROJECT)
        paths = {name: (inside / name).as_posix() for name in names}
        return {
            name
            for name, path in paths.items()
            for pattern in ignored
            if path == pattern or (pattern.startswith("**/") and fnmatch.fnmatch(name, pattern[3:]))
        }

    shutil.copytree(PROJECT, root, ignore=ignore)
    for name, command in instructions():
        if name == "RUN":
            done = subprocess.run(
                ["bash", "-c", command],
                env=container(virtualenv, root),
                cwd=root,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return root


def container(virtualenv: Path, root: Path) -> dict[str, str]:
    """A container's environment: the image's variables, with its home where the test has it."""
    ours = {name: text.replace(HOME, str(root)) for name, text in image_variables().items()}
    path = os.pathsep.join([str(virtualenv / "bin"), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(root), "AIRFLOW_HOME": str(root), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **ours}


def test_the_files_that_astro_expects_are_at_the_top() -> None:
    assert [name for name in FILES if not (PROJECT / name).is_file()] == []
    packages = (PROJECT / "packages.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in packages if line and not re.fullmatch(r"#.*|[a-z0-9][a-z0-9+.-]+", line)] == []


def test_the_base_image_has_an_airflow_and_a_python_that_the_package_is_made_for() -> None:
    ((first, base), *rest) = instructions()
    assert first == "FROM"
    assert {name for name, _ in rest} <= {"ENV", "RUN"}
    found = re.fullmatch(r"astrocrpublic\.azurecr\.io/runtime:(3\.\d+)-\d+-python-(3\.\d+)", base)
    assert found, base
    assert found.groups() == (AIRFLOW.rpartition(".")[0], "3.12")


def test_the_image_holds_what_runs_and_nothing_else(image: Path) -> None:
    there = {path.name for path in image.iterdir()}
    assert {"dags", "dbt", "include", "plugins", "requirements.txt", "packages.txt"} <= there
    assert there.isdisjoint({"tests", "local", "deploy", "build", ".git", ".venv", ".local", ".engines", ".env"})
    manifest = json.loads((image / "dbt" / "target" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["metadata"]["adapter_type"] == "athena"


def test_the_dags_parse_in_the_image(virtualenv: Path, image: Path) -> None:
    found = parsed(virtualenv, image)
    assert found["errors"] == {}
    assert found["dags"] == ["lakehouse_maintenance", "sf_account_pipeline", "sf_history_watch", "sf_user_pipeline"]
    assert found["include"] == str(image / "include" / "__init__.py")
    assert set(found["pools"]) - {"default_pool"} <= {pool["pool_name"] for pool in settings()["pools"]}


def parsed(virtualenv: Path, image: Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(virtualenv / "bin" / "python"), "-c", _PARSE, str(image / "dags")],
        env=container(virtualenv, image),
        cwd=image,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.split("RESULT", 1)[1].splitlines()[0])
    return found


def settings() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((PROJECT / "airflow_settings.yaml").read_text(encoding="utf-8"))["airflow"]
    return found


def test_airflow_settings_are_what_the_astro_cli_reads_and_hold_no_secret() -> None:
    assert sorted(settings()) == ["connections", "pools", "variables"]
    assert settings()["connections"] == []
    assert settings()["variables"] == []
    for pool in settings()["pools"]:
        assert sorted(pool) == ["pool_description", "pool_name", "pool_slot"]
        assert isinstance(pool["pool_slot"], int)
        assert pool["pool_slot"] > 0
    assert {pool["pool_name"]: pool["pool_slot"] for pool in settings()["pools"]} == {
        "dbt": 1,
        "athena": 4,
        "salesforce": 2,
    }
