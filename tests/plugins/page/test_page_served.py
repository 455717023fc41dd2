"""The page in a real API server of Airflow, which is served below a path: who may see it, and where it is shown."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from local.dbt_docs import put_docs
from tests.airflow_process import PROJECT
from tests.include.page.lakes import catalog_in, publish, user_id, versions_of

_STARTS_WITHIN = 120.0
_SECRET = "a key that all parts of this Airflow share, long enough for a signature of 512 bits: " + "x" * 40


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("airflow")


@pytest.fixture(scope="module")
def base(home: Path) -> Iterator[str]:
    """Where Airflow answers."""
    lake = home / "lake"
    publish(catalog_in(lake), versions_of(1, {}, {"division": "West"}, name="<b>Ada</b>"))
    put_docs(PROJECT / "dbt" / "target")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    extra = f'{{"type": "sql", "uri": "sqlite:///{lake}/catalog.db", "warehouse": "file://{lake}/warehouse"}}'
    variables = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "vera:viewer,nora:",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}/team/airflow",
        "AIRFLOW__API_AUTH__JWT_SECRET": _SECRET,
        "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
        "AIRFLOW__COSMOS__DBT_DOCS_PROJECTS": f'{{"salesforce_history": {{"dir": "{PROJECT}/dbt/target"}}}}',
        "AIRFLOW_CONN_ICEBERG_DEFAULT": f'{{"conn_type": "iceberg", "extra": {extra}}}',
        "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}",
        "SF_HISTORY_ENV": "local",
    }
    airflow = [sys.executable, "-m", "airflow"]
    subprocess.run([*airflow, "db", "migrate"], env=variables, check=True, capture_output=True, cwd=home)
    log = (home / "api-server.log").open("w")
    server = subprocess.Popen(
        [*airflow, "api-server", "--host", "127.0.0.1", "--port", str(port), "--apps", "core"],
        env=variables,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=home,
    )
    address = f"http://127.0.0.1:{port}/team/airflow"
    try:
        deadline = time.monotonic() + _STARTS_WITHIN
        while not _answers(f"{address}/api/v2/version"):
            assert server.poll() is None, (home / "api-server.log").read_text()[-3000:]
            assert time.monotonic() < deadline, (home / "api-server.log").read_text()[-3000:]
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def token(base: str, home: Path) -> str:
    """Of a viewer: who may look, and change nothing."""
    return token_of("vera", base, home)


def token_of(name: str, base: str, home: Path) -> str:
    passwords = json.loads((home / "simple_auth_manager_passwords.json.generated").read_text())
    login = {"username": name, "password": passwords[name]}
    answer = requests.post(f"{base}/auth/token", json=login, timeout=10)
    told: str = answer.json()["access_token"]
    return told


def get(url: str, token: str | None = None, **cookies: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.get(url, headers=headers, cookies=cookies, timeout=30, allow_redirects=False)


@pytest.mark.parametrize(
    "path",
    [
        "", "assets/icon.svg", "api/overview", "api/user/records", f"api/user/records/{user_id(1)}",
        "api/user/changes", "api/user/changes.csv", "api/user/quarantine", "nix", "api/user/records?limit=0",
    ],
)  # fmt: skip
def test_without_a_session_nothing_is_shown(base: str, token: str, path: str) -> None:
    url = f"{base}/salesforce-history/{path}"
    for answer in (get(url), get(url, _token="stolen"), get(url, f"{token[:-4]}AAAA")):
        assert answer.status_code in {401, 403}, answer.text
        assert "Ada" not in answer.text
    assert get(url).status_code == 401
    assert get(url).json() == {
        "error": "You are not signed in.",
        "remedy": "Sign in to Airflow, then open this page again.",
    }
    assert requests.post(url, timeout=30).status_code == 401


@pytest.mark.parametrize(
    "path", ["salesforce-history/", "salesforce-history/api/user/records", "cosmos/salesforce_history/manifest.json"]
)
def test_who_has_a_session_and_no_right_sees_nothing(base: str, home: Path, path: str) -> None:
    """Nora can log in, and has no role."""
    answer = get(f"{base}/{path}", token_of("nora", base, home))
    assert answer.status_code == 403
    assert answer.json()["error"] == "You may not see this page."
    assert "Viewer has that" in answer.json()["remedy"]


def test_with_airflows_own_session_it_answers(base: str, token: str) -> None:
    for answer in (
        get(f"{base}/salesforce-history/api/user/records?q=ada", token),
        get(f"{base}/salesforce-history/api/user/records?q=ada", _token=token),
    ):
        assert answer.status_code == 200
        assert answer.json()["records"][0]["name"] == "<b>Ada</b>"
    found = get(f"{base}/salesforce-history/api/overview", token).json()
    assert found["objects"][1]["dag_url"] == "/team/airflow/dags/sf_user_pipeline"
    assert found["docs"] == "/team/airflow/cosmos/salesforce_history/dbt_docs_index.html"
    posted = requests.post(
        f"{base}/salesforce-history/api/overview", headers={"Authorization": f"Bearer {token}"}, timeout=30
    )
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET")


def test_airflows_navigation_shows_it_and_dbts_docs(base: str, token: str) -> None:
    plugins: list[dict[str, Any]] = get(f"{base}/api/v2/plugins", token).json()["plugins"]
    views = {view["name"]: view for plugin in plugins for view in plugin["external_views"]}
    assert views["Salesforce history"]["url_route"] == "salesforce-history"
    assert views["Salesforce history"]["destination"] == "nav"
    # Airflow's page resolves it against its own base.
    assert views["Salesforce history"]["href"] == "salesforce-history/"
    icon = get(f"{base}/{views['Salesforce history']['icon']}", token)
    assert icon.headers["content-type"] == "image/svg+xml"
    assert (
        views["dbt Docs (salesforce_history)"]["href"] == "/team/airflow/cosmos/salesforce_history/dbt_docs_index.html"
    )


def test_dbts_docs_are_behind_the_session_too(base: str, token: str) -> None:
    for name in ("dbt_docs_index.html", "manifest.json", "catalog.json"):
        url = f"{base}/cosmos/salesforce_history/{name}"
        assert get(url).status_code == 401
        assert get(url, token).status_code == 200
        assert get(url, _token=token).status_code == 200
    assert "dbt docs" in get(f"{base}/cosmos/salesforce_history/dbt_docs_index.html", token).text.lower()
