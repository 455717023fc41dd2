"""What is in a bundle, what is not, and that its parts say what they should."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import deploy.bundle
from deploy.bundle import AIRFLOW, PARTS, Bundle, BundleRefused, build_bundle, known_airflows, main
from deploy.page_code import ASSETS
from deploy.startup_settings import ICEBERG, SettingRefused
from include.config.environment import UnknownEnvironment, current_environment
from tests.airflow_process import run_in_airflow
from tests.packaging.bare_layout import source
from tests.packaging.virtualenvs import PROJECT, UV, run

GROUNDTRUTH = PROJECT.parent / "shared" / "groundtruth" / "mwaa"
CONSTRAINT = '--constraint "/usr/local/airflow/dags/constraints.txt"'

_SERVE = """
import importlib.util, json, sys
from airflow import plugins_manager
apps = plugins_manager.get_fastapi_plugins()[0]
errors = plugins_manager._get_plugins()[1]
before = sorted(name for name in sys.modules if name.split(".")[0] in {"include", "salesforce_history"})
from starlette.testclient import TestClient
page = next(app["app"] for app in apps if app["url_prefix"] == "/salesforce-history")
from airflow.api_fastapi.app import create_auth_manager
create_auth_manager()
# Entered, so that one thread has the event loop for as long as an API server's has.
client = TestClient(page, root_path="/salesforce-history").__enter__()
statuses = [client.get(path).status_code for path in ("/assets/icon.svg", "/api/overview")]
from salesforce_history.page import app as module
page._page.dependency_overrides[module.signed_in] = lambda: None
statuses += [client.get(path).status_code for path in ("/assets/icon.svg", "/api/overview")]
print("RESULT" + json.dumps({
    "errors": errors, "before": before, "statuses": statuses,
    "objects": [one["noun"] for one in client.get("/api/overview").json()["objects"]],
    "code": sorted(m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in {"include", "salesforce_history"}),
}))
"""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    place = tmp_path_factory.mktemp("bundles")
    return {airflow: build_bundle(place / airflow, "development", {}, airflow=airflow) for airflow in known_airflows()}


@pytest.fixture
def bundle(bundles: dict[str, Bundle]) -> Bundle:
    return bundles[AIRFLOW]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_that_a_dag_is_made_of_is_there(bundle: Bundle) -> None:
    there = set(contents(bundle.dags))
    for room, target, kinds in (
        ("dags", "", "*.py"),
        ("include", "include/", "*.py"),
        ("include", "include/", "*.yml"),
        ("plugins/salesforce_history", "salesforce_history/", "*.py"),
        ("dbt", "dbt/", "*.sql"),
    ):
        wanted = {f"{target}{path.relative_to(PROJECT / room).as_posix()}" for path in (PROJECT / room).rglob(kinds)}
        assert {name for name in wanted if "/target/" not in name} <= there
    assert {"dbt/dbt_project.yml", "dbt/profiles.yml", "dbt/target/manifest.json", ".airflowignore"} <= there
    assert sorted(path.name for path in bundle.folder.iterdir()) == sorted(PARTS)
    assets = PROJECT / "plugins/salesforce_history/page/assets"
    wanted = {path.relative_to(PROJECT / "plugins").as_posix() for path in assets.rglob("*") if path.is_file()}
    assert wanted <= there


def test_plugins_zip_has_the_page_and_what_it_leads_to_and_no_more(bundle: Bundle) -> None:
    with zipfile.ZipFile(bundle.plugins) as archive:
        names = archive.namelist()
        ignored = archive.read(".airflowignore").decode()
    # What Airflow imports under its bare name: these, and nothing of the page's own code.
    assert [name for name in names if "/" not in name] == [
        ".airflowignore", "history_page.py", "sf_history_dags_folder.py",
    ]  # fmt: skip
    assert ignored == "sf_history_page/\n"
    code = {name.removeprefix("sf_history_page/") for name in names if "/" in name}
    assert {
        "include/objects/user.yml", "include/page/changes.py", "include/quality/listing.py",
        "salesforce_history/page/app.py", "salesforce_history/page/docs_guard.py", "salesforce_history/connections.py",
        "salesforce_history/page/assets/icon.svg",
    } <= code  # fmt: skip
    # A change of an operator is no update of the environment.
    assert code.isdisjoint({"salesforce_history/operators.py", "include/flow.py", "include/lake/upsert.py"})


def test_the_page_runs_from_plugins_zip_alone(bundle: Bundle, tmp_path: Path) -> None:
    """Where the API server is there is no DAG folder, and no project."""
    with zipfile.ZipFile(bundle.plugins) as archive:
        archive.extractall(tmp_path / "plugins")
    done = run_in_airflow(
        tmp_path / "home",
        _SERVE,
        PYTHONPATH="",
        AIRFLOW__CORE__PLUGINS_FOLDER=str(tmp_path / "plugins"),
        AIRFLOW_CONN_ICEBERG_DEFAULT=json.dumps(
            {
                "conn_type": "iceberg",
                "extra": {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"file://{tmp_path}/w"},
            }
        ),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.split("RESULT", 1)[1].splitlines()[0])
    assert found["errors"] == {}
    assert found["before"] == []
    assert found["statuses"] == [401, 401, 200, 200]
    assert found["objects"] == ["account", "user"]
    assert all(file.startswith(f"{tmp_path}/plugins/sf_history_page/") for file in found["code"]), found["code"]


def test_the_manifest_is_for_athena_and_for_the_environment(bundle: Bundle) -> None:
    manifest = json.loads((bundle.dags / "dbt" / "target" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["metadata"]["adapter_type"] == "athena"
    schemas = {source["schema"] for source in manifest["sources"].values()}
    assert schemas == {"sf_raw_development", "sf_curated_development"}


def test_what_lies_around_in_the_project_is_not_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    for room in ("dags", "include", "plugins", "dbt", "local", "tests/oracle"):
        shutil.copytree(PROJECT / room, project / room)
    shutil.copyfile(PROJECT / "requirements.txt", project / "requirements.txt")
    strangers = (
        ".env",
        "dags/.env",
        "dags/notes.txt",
        "include/__pycache__/flow.cpython-312.pyc",
        "include/objects/user.yml.orig",
        "include/key.pem",
        "plugins/salesforce_history/__pycache__/old.py",
        "dbt/target/run_results.json",
        "dbt/target/compiled/model.sql",
        "dbt/logs/dbt.log",
        "dbt/.user.yml",
    )
    for name in strangers:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("a person's own", encoding="utf-8")
    monkeypatch.setattr(deploy.bundle, "PROJECT_ROOT", project)

    built = build_bundle(tmp_path / "out", "development", {})

    shipped = contents(built.folder)
    assert b"a person's own" not in b"".join(shipped.values())
    suffixes = {".py", ".yml", ".sql", ".sh", ".zip", *ASSETS}
    odd = {name for name in shipped if Path(name).suffix not in suffixes}
    assert odd == {"dags/.airflowignore", "dags/dbt/target/manifest.json"}
    folders = {part for name in shipped for part in Path(name).parts[:-1]}
    assert folders.isdisjoint({"local", "oracle", "plugins", "logs", "__pycache__"})
    assert {name for name in shipped if "tests/" in name} == {
        f"dags/dbt/tests/generic/{path.name}" for path in (PROJECT / "dbt/tests/generic").glob("*.sql")
    }


def test_whatever_is_imported_is_shipped_or_required(bundle: Bundle) -> None:
    ours = {path.stem for path in bundle.dags.glob("*.py")} | {"include", "salesforce_history"}
    known = {
        *ours, *sys.stdlib_module_names,
        "airflow", "cosmos", "openlineage", "pyiceberg", "simple_salesforce", "croniter", "pydantic", "pydantic_core",
        "fastapi", "starlette",
        "tenacity", "asgiref", "boto3", "botocore", "numpy", "pandas", "pyarrow", "requests", "rich", "sqlalchemy",
        "urllib3", "yaml",
    }  # fmt: skip
    foreign = set()
    for path in bundle.dags.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                first = name.split(".")[0]
                if first not in known:
                    foreign.add(f"{path.relative_to(bundle.dags)} imports {name}")
                elif first in {"include", "salesforce_history"}:
                    at = bundle.dags / name.replace(".", "/")
                    assert at.is_dir() or at.with_suffix(".py").is_file(), f"{path.name} imports {name}"
    assert not foreign


def test_the_same_project_gives_the_same_bytes(bundle: Bundle, tmp_path: Path) -> None:
    """A deploy without a change is none: no new object version, no update of the environment, no new DAG version."""
    again = build_bundle(tmp_path / "elsewhere" / "mwaa", "development", {})
    assert contents(again.folder) == contents(bundle.folder)


@pytest.mark.parametrize("airflow", known_airflows())
def test_requirements_resolve_to_the_pins_and_nothing_else(
    airflow: str, bundles: dict[str, Bundle], tmp_path: Path
) -> None:
    """What is installed is the same today and in a year, by pip or by uv."""
    built = bundles[airflow]
    first, *asked = [
        line for line in built.requirements.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    ]
    assert first == CONSTRAINT
    assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[0-9.]+", line) for line in asked), asked
    assert not [line for line in asked if line.startswith("dbt")]
    constraints = built.dags / "constraints.txt"
    (tmp_path / "asked.txt").write_text("\n".join(asked), encoding="utf-8")
    resolved = run(
        *(UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--python-version", "3.12"),
        *("--constraint", constraints, tmp_path / "asked.txt"),
    )
    pins = constraints.read_text(encoding="utf-8").splitlines()
    assert set(resolved.split()) <= set(pins)
    assert f"apache-airflow-core=={airflow}" in pins


@pytest.mark.skipif(not GROUNDTRUTH.is_dir(), reason="MWAA's constraints are not beside the project (../shared)")
@pytest.mark.parametrize("airflow", known_airflows())
def test_the_pins_are_those_of_mwaas_image(airflow: str) -> None:
    image: dict[str, str] = {}
    for kind in ("airflow", "mwaa_essential"):
        image |= pins(GROUNDTRUTH / f"{kind}_constraints-{airflow}.txt")
    ours = pins(PROJECT / "deploy" / "mwaa" / f"constraints-{airflow}.txt")
    assert {name: ours[name] for name in ours if name in image} == {name: image[name] for name in ours if name in image}
    airflow_itself = {
        "apache-airflow-core",
        "apache-airflow-task-sdk",
    }  # which a constraint file of Airflow never lists
    assert sorted(set(ours) - set(image) - airflow_itself) == ["astronomer-cosmos", "pyiceberg-core"]


def pins(path: Path) -> dict[str, str]:
    lines = (line.split(";")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    found = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_startup_is_a_script_without_a_fault(bundle: Bundle) -> None:
    run("bash", "-n", bundle.startup)
    if checker := shutil.which("shellcheck"):
        run(checker, "--shell=bash", bundle.startup)


@pytest.mark.parametrize("component", ["webserver", "scheduler"])
def test_where_no_task_runs_startup_only_exports(component: str, bundle: Bundle, tmp_path: Path) -> None:
    script = shutil.copyfile(bundle.startup, tmp_path / "startup.sh")
    before = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "MWAA_AIRFLOW_COMPONENT": component}
    printed, exported = source(script, before)
    assert printed == ""
    assert sorted(exported) == [
        "AIRFLOW_CONN_ICEBERG_DEFAULT",
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY",
        "DBT_SEND_ANONYMOUS_USAGE_STATS",
        "SF_HISTORY_ATHENA_RESULTS",
        "SF_HISTORY_ATHENA_WORKGROUP",
        "SF_HISTORY_CURATED_LOCATION",
        "SF_HISTORY_DBT_EXECUTABLE",
        "SF_HISTORY_DBT_TARGET",
        "SF_HISTORY_DBT_VENV",
        "SF_HISTORY_ENV",
    ]
    assert exported["SF_HISTORY_DBT_EXECUTABLE"] == f"{tmp_path}/dbt-venv/bin/dbt"
    assert json.loads(exported[ICEBERG])["extra"]["type"] == "glue"
    environment = current_environment(exported)
    assert (environment.name, environment.dbt_target) == ("development", "athena")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["startup.sh"]


def test_a_worker_without_dbt_does_not_start_and_says_why(bundle: Bundle, tmp_path: Path) -> None:
    before = {"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path), "MWAA_AIRFLOW_COMPONENT": "worker"}
    script = f'source "{bundle.startup}"; echo went on'
    # One asks a machine without a package index, the other one without a Python.
    (tmp_path / "python3").symlink_to("/bin/false")
    for variables, why in (
        ({"PIP_NO_INDEX": "1"}, "pip says why above"),
        ({"PATH": f"{tmp_path}:{before['PATH']}"}, "python3 -m venv made no virtualenv"),
    ):
        done = subprocess.run(
            ["bash", "-c", script], env={**before, **variables}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert f"sf-history startup (worker): dbt could not be installed: {why}" in done.stderr
        assert "went on" not in done.stdout
        assert not (tmp_path / "dbt-venv" / ".made-of").exists()


def test_another_environment_differs_in_its_settings_and_they_arrive_as_they_were_given(
    bundle: Bundle, tmp_path: Path
) -> None:
    given = {
        "SF_HISTORY_SNS_TOPIC_ARN": "arn:aws:sns:us-east-1:123456789012:sf-user-pipeline-alerts",
        "SF_HISTORY_DOCS_URL": 'https://docs.example.com/it\'s $(here) "and" `there`',
        "SF_HISTORY_ATHENA_WORKGROUP": "another",
        ICEBERG: '{"conn_type": "iceberg", "extra": {"type": "glue", "warehouse": "s3://elsewhere/x"}}',
    }
    built = build_bundle(tmp_path / "mwaa", "production", given)
    development = contents(bundle.folder)
    changed = {name for name, found in contents(built.folder).items() if development.get(name) != found}
    assert changed == {"startup.sh", "dags/dbt/target/manifest.json"}
    _, exported = source(built.startup, {"PATH": os.environ["PATH"], "MWAA_AIRFLOW_COMPONENT": "webserver"})
    assert {name: exported[name] for name in given} == given
    assert exported["SF_HISTORY_ATHENA_RESULTS"] == "s3://lumata-lakehouse-prod-athena-results/queries/dbt/"


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"SF_HISTORY_STAGING_URL": "s3://x"}, "SF_HISTORY_STAGING_URL is no setting of the deployed package"),
        ({"AIRFLOW_CONN_SALESFORCE_DEFAULT": "{}"}, "Connections with secrets belong in Secrets Manager"),
        ({"SF_HISTORY_DOCS_URL": "a\nb"}, "allowed is one line of text"),
        ({ICEBERG: '{"extra": {"s3.secret-access-key": "x"}}'}, "has s3.secret-access-key, and startup.sh is a file"),
        ({ICEBERG: '{"password": "x"}'}, "has password, and startup.sh is a file"),
        ({ICEBERG: "glue://"}, "is to be a connection as JSON"),
    ],
)
def test_a_setting_that_will_not_do_is_refused(setting: dict[str, str], says: str, tmp_path: Path) -> None:
    with pytest.raises(SettingRefused, match=re.escape(says)):
        build_bundle(tmp_path / "mwaa", "development", setting)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_value_is_refused_before_it_is_deployed(tmp_path: Path) -> None:
    with pytest.raises(UnknownEnvironment, match="SF_HISTORY_UPKEEP_SCHEDULE is 'never'"):
        build_bundle(tmp_path / "mwaa", "development", {"SF_HISTORY_UPKEEP_SCHEDULE": "never"})


def test_what_cannot_be_built_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BundleRefused, match="'local' is not deployed; allowed are development, staging, production"):
        build_bundle(tmp_path / "mwaa", "local", {})
    with pytest.raises(BundleRefused, match=r"Airflow '2\.10\.3' has no constraints in deploy/mwaa; there are 3\.2\.1"):
        build_bundle(tmp_path / "mwaa", "development", {}, airflow="2.10.3")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    with pytest.raises(BundleRefused, match=r"holds thesis\.txt, so it is no bundle"):
        build_bundle(mine, "development", {})
    assert main(["--out", str(tmp_path / "mwaa"), "--setting", "NAME"]) == 2
    assert "allowed is NAME=VALUE" in capsys.readouterr().err


def test_a_link_out_of_the_project_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "dags").mkdir(parents=True)
    (tmp_path / "theirs.py").write_text("SECRET = 1\n", encoding="utf-8")
    (tmp_path / "project" / "dags" / "linked.py").symlink_to(tmp_path / "theirs.py")
    monkeypatch.setattr("deploy.bundle.PROJECT_ROOT", tmp_path / "project")
    with pytest.raises(BundleRefused, match=r"linked\.py leads out of the project"):
        build_bundle(tmp_path / "out", "development", {})
    assert not (tmp_path / "out").exists()
