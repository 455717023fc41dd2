"""The page over HTTP: what it answers, what it refuses and in which words, and what it says when the lake is away."""

from __future__ import annotations

import base64
import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from starlette.testclient import TestClient

from include.config.object_file import OBJECTS_FOLDER
from include.lake.run_log import record_run
from include.page.lake import ObjectLake
from include.page.records import Search
from include.quality.quarantine_table import open_quarantine
from salesforce_history.page import lakes as lakes_module
from salesforce_history.page.lakes import Lakes
from tests.include.page.lakes import USER, log, publish, user_id, versions_of
from tests.include.page.test_overview import NOW


@pytest.fixture
def filled(catalog: SqlCatalog) -> None:
    publish(
        catalog,
        versions_of(1, {}, {"division": "West"}, name="=cmd|'/c calc'!A1"),
        versions_of(2, {"division": None}, {"division": '<script>alert("x")</script>'}, name="Bob\n\u202e\tB"),
    )


@pytest.mark.usefixtures("filled")
def test_a_person_looks_for_a_record_and_opens_it(client: TestClient) -> None:
    found = client.get("/api/user/records", params={"q": "bob"}).json()
    assert [one["name"] for one in found["records"]] == ["Bob\n\u202e\tB"]
    record = client.get(f"/api/user/records/{found['records'][0]['id'][:15]}").json()
    assert record["id"] == user_id(2)
    assert [one["values"]["division"] for one in record["versions"]] == [None, '<script>alert("x")</script>']
    assert record["salesforce_url"] is None


@pytest.mark.usefixtures("filled")
def test_the_csv_is_one_that_a_spreadsheet_obeys_in_nothing(client: TestClient) -> None:
    answer = client.get("/api/user/changes.csv", params={"field": "division"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="user_division_changes.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["name"], row["from"], row["to"]) for row in sorted(rows, key=lambda row: row["id"])] == [
        ("'=cmd|'/c calc'!A1", "North", "West"),
        ("Bob\\n\\u202e\\tB", "", '<script>alert("x")</script>'),
    ]
    listed = client.get("/api/user/changes", params={"field": "division"}).json()
    assert listed["total"] == len(rows) == 2


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("records?limit=0", "limit is '0': allowed is a whole number from 1 to 500"),
        ("records?limit=501", "limit is '501': allowed is a whole number from 1 to 500"),
        ("records?limit=ten", "limit is 'ten': allowed is a whole number from 1 to 500"),
        (f"records?q={'x' * 201}", "allowed is a text of at most 200 characters"),
        ("records?page=nix", "page is 'nix': allowed is what an answer had in `next`"),
        ("records?name=Bob", "there is no parameter 'name' here"),
        ("records/nobody", "identity is 'nobody': allowed is a Salesforce Id of 15 or 18 letters and digits"),
        (f"records/{user_id(1)}/observations", "page is missing: allowed is what an answer had in `next`"),
        ("changes?since=yesterday", "since is 'yesterday': allowed is a date such as 2026-01-31"),
        ("changes?since=0001-01-01T00:00:00%2B23:59", "allowed is a date such as 2026-01-31"),
        ("changes?until=9999-12-31T23:59:59-23:59", "allowed is a date such as 2026-01-31"),
        ("changes?since=2026-02-30", "since is '2026-02-30': allowed is a date such as 2026-01-31"),
        ("changes?since=2026-01-07&until=2026-01-06", "since must come first"),
        ("changes?field=user_key%3B--", "field is 'user_key;--': allowed are division, audit_phase__c, is_deleted."),
        ("changes.csv?page=x", "there is no parameter 'page' here"),
        ("quarantine?state=gone", "state is 'gone': allowed are can be replayed, open, cannot be replayed, replayed."),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_is_allowed(client: TestClient, path: str, says: str) -> None:
    answer = client.get(f"/api/user/{path}")
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    assert answer.json()["remedy"]


def test_what_is_not_there_is_told_with_what_is(client: TestClient) -> None:
    for path, says in (
        ("/api/users/records", "There is no object 'users'; there are: account, user."),
        ("/api/user/records", "User has no history yet: there is no sf_curated.dim_sf_user_scd, or it is empty."),
        (f"/api/user/records/{user_id(1)}", "User has no history yet"),
        ("/api/user/changes", "User has no history yet"),
        ("/nix", "There is no page '/nix'."),
        ("/assets/../app.py", "There is no page"),
        ("/assets/%2e%2e/app.py", "The page has no file '../app.py'."),
        ("/assets/%00.js", "The page has no file '\\x00.js'."),
        (f"/assets/{'a' * 5_000}.js", "The page has no file 'aaa"),
        ("/assets/app.py", "The page has no file 'app.py'."),
    ):
        answer = client.get(path)
        assert answer.status_code == 404, path
        assert says in answer.json()["error"]
        assert answer.json()["remedy"]


def test_it_is_read_only(client: TestClient) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        for path in ("/", "/api/overview", "/api/user/records", "/assets/icon.svg"):
            answer = client.request(method, path)
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
            assert answer.json()["error"] == "This page is read-only: GET is the only method."


def test_every_answer_says_what_a_browser_may_do_with_it(client: TestClient) -> None:
    for path in ("/assets/icon.svg", "/api/overview", "/nix"):
        headers = client.get(path).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert client.get("/api/overview").headers["cache-control"] == "no-store"
    icon = client.get("/assets/icon.svg")
    assert icon.headers["content-type"] == "image/svg+xml"
    again = client.get("/assets/icon.svg", headers={"If-None-Match": icon.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_addresses_are_below_the_path_that_airflow_is_served_at(client: TestClient, catalog: SqlCatalog) -> None:
    record_run(catalog, "sf_ops", {"run_id": "a/b", "object": "User", "state": "success", "watermark": NOW})
    user = client.get("/api/overview").json()["objects"][1]
    assert user["dag_url"] == "/below/dags/sf_user_pipeline"
    assert user["last_run"]["url"] == "/below/dags/sf_user_pipeline/runs/a%2Fb"
    assert client.get("/api/user/quarantine").json()["replay"]["trigger_url"] == "/below/dags/sf_user_pipeline"


def test_an_empty_lake_says_what_to_do(client: TestClient) -> None:
    found = client.get("/api/overview").json()
    assert found["lake"] == {
        "state": "empty",
        "message": "Nothing has been loaded from Salesforce yet.",
        "remedy": "Switch sf_account_pipeline or sf_user_pipeline on, or trigger it; its first run reads everything.",
    }
    assert client.get("/api/user/quarantine").json()["entries"] == []


def test_a_lake_that_is_away_is_told_without_a_stack_trace(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    extra = {"type": "sql", "uri": f"sqlite:///{tmp_path}/not/there/catalog.db", "warehouse": f"file://{tmp_path}"}
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps({"conn_type": "iceberg", "extra": extra}))
    found = client.get("/api/overview")
    assert found.status_code == 200
    assert found.json()["lake"]["state"] == "unreachable"
    assert "Look at the Airflow connection of the Iceberg catalog" in found.json()["lake"]["remedy"]
    answer = client.get("/api/user/records")
    assert answer.status_code == 503
    assert answer.json()["error"].startswith("The lake cannot be read: OperationalError")
    assert "Traceback" not in answer.text


@pytest.mark.usefixtures("filled")
def test_a_csv_that_cannot_be_read_is_no_empty_file(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(search: Search, ids: pa.Array) -> list[str | None]:
        raise FileNotFoundError(f"names of {len(ids)}")

    monkeypatch.setattr(Search, "names_of", lost)
    answer = client.get("/api/user/changes.csv")
    assert answer.status_code == 503
    assert "FileNotFoundError" in answer.json()["error"]


def test_a_csv_of_nothing_has_its_columns(client: TestClient, catalog: SqlCatalog) -> None:
    publish(catalog, versions_of(1, {}))
    assert client.get("/api/user/changes.csv").text == "at,id,name,field,from,to\r\n"


def test_an_object_whose_files_are_lost_hides_no_other(client: TestClient, catalog: SqlCatalog, tmp_path: Path) -> None:
    record_run(catalog, "sf_ops", {"run_id": "a", "object": "User", "state": "success", "watermark": NOW})
    publish(catalog, versions_of(1, {}))
    for file in (tmp_path / "lake" / "warehouse" / "sf_curated").rglob("*.parquet"):
        file.unlink()
    found = client.get("/api/overview").json()
    assert found["lake"]["state"] == "ready"
    account, user = found["objects"]
    assert account["problem"] is None
    assert user["problem"]["error"].startswith("The lake cannot be read: FileNotFoundError")
    assert user["last_run"]["run_id"] == "a"


def _observations(**forged: Any) -> dict[str, Any]:
    return {"of": None, "after": [[0, 1]], "version": 0, "deleted": False, "known": [None, None], **forged}


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("records", {"name": "\ud800", "id": "x"}),
        ("changes", {"at": 10**30, "id": "x"}),
        ("changes", {"at": 1, "id": "\ud800"}),
        ("quarantine", {"state": 10**30, "seen": 1, "id": "", "record": ""}),
        ("observations", _observations(version=-2)),
        ("observations", _observations(version=10**30)),
        ("observations", _observations(of="x")),
        ("observations", _observations(known={})),
        ("observations", _observations(known=[1, 2])),
        ("observations", _observations(known=["zz", None])),
        ("observations", _observations(known=[None])),
        *(
            ("observations", _observations(after=after))
            for after in ([], [1], [[]], [[0]], [[0, "x"]], [[2, 0]], [[1, 1]], [[float("inf"), 1]], [[0, True]],
                          [[0, 1], [0, 1]], [[0, 1], [0, 1], [0, 1], [0, 1], [0, 1]], [[0, 10**30]])
        ),
    ],
)  # fmt: skip
def test_a_cursor_that_nobody_was_given_is_refused(
    client: TestClient, catalog: SqlCatalog, kind: str, place: dict[str, Any]
) -> None:
    log(catalog, ("r0", 0, "A"), ("r1", 1, "B"))
    page = base64.urlsafe_b64encode(json.dumps([kind, place]).encode()).decode().rstrip("=")
    path = f"records/{user_id(1)}/observations" if kind == "observations" else kind
    answer = client.get(f"/api/user/{path}", params={"page": page})
    assert answer.status_code == 400, answer.text
    assert answer.json()["remedy"] in {"Open the list from its beginning.", "Open the record again."}
    good = base64.urlsafe_b64encode(json.dumps(["observations", _observations()]).encode()).decode()
    assert client.get(f"/api/user/records/{user_id(1)}/observations", params={"page": good}).status_code == 200


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("path", ["records", "changes", f"records/{user_id(2)}"])
def test_what_an_erasure_takes_away_meanwhile_is_read_anew(
    client: TestClient, catalog: SqlCatalog, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """The table was loaded before the erasure, its files are read after it."""
    name = f"sf_curated.{USER.dimension}"
    before = catalog.load_table(name)
    gone = [task.file.file_path for task in before.scan().plan_files()]
    catalog.load_table(name).overwrite(
        pa.Table.from_pylist(versions_of(2, {}, {"division": "East"}), before.schema().as_arrow())
    )
    for file in gone:
        Path(file.removeprefix("file://")).unlink()
    opened, now = [before], ObjectLake.open
    monkeypatch.setattr(
        ObjectLake, "open", lambda lake, one: opened.pop() if one == name and opened else now(lake, one)
    )
    answer = client.get(f"/api/user/{path}")
    assert answer.status_code == 200, answer.text
    assert user_id(2) in answer.text
    assert user_id(1) not in answer.text
    assert opened == []


@pytest.mark.usefixtures("filled")
def test_a_file_that_was_lost_is_told(client: TestClient, tmp_path: Path) -> None:
    for file in (tmp_path / "lake" / "warehouse").rglob("*.parquet"):
        file.unlink()
    answer = client.get("/api/user/changes")
    assert answer.status_code == 503
    assert "FileNotFoundError" in answer.json()["error"]


def test_an_object_file_that_is_wrong_hides_no_other(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "objects"
    shutil.copytree(OBJECTS_FOLDER, folder)
    (folder / "account.yml").write_text("version: 1\nobject: Account\ncolour: red\n", encoding="utf-8")
    monkeypatch.setattr(Lakes, "folder", folder)
    found = client.get("/api/overview").json()
    assert [one["noun"] for one in found["objects"]] == ["user"]
    assert "account.yml" in found["problems"][0]["error"]
    assert "colour" in found["problems"][0]["error"]
    answer = client.get("/api/account/records")
    assert answer.status_code == 404
    assert "account.yml" in answer.json()["error"]
    # Mended, it is there without a restart.
    shutil.copyfile(OBJECTS_FOLDER / "account.yml", folder / "account.yml")
    assert [one["noun"] for one in client.get("/api/overview").json()["objects"]] == ["account", "user"]


def test_the_quarantine_is_listed_page_by_page(client: TestClient, catalog: SqlCatalog) -> None:
    table = open_quarantine(catalog, "sf_raw.sf_user_quarantine")
    schema = table.schema().as_arrow()
    rows = [
        {
            "id": user_id(n), "record": json.dumps({"id": user_id(n), "name": "<b>"}), "reasons": "Name is missing",
            "_extraction_run_id": "run", "_quarantined_at": NOW, "_extracted_at": NOW, "_window_end": NOW,
        }
        for n in range(7)
    ]  # fmt: skip
    table.append(pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema))
    seen, page = [], None
    while True:
        found = client.get("/api/user/quarantine", params={"limit": 3, **({"page": page} if page else {})}).json()
        seen += [one["id"] for one in found["entries"]]
        page = found["next"]
        if page is None:
            break
    assert sorted(seen) == [user_id(n) for n in range(7)]
    assert found["total"] == 7
    assert sum(found["states"].values()) == 7
    (reason,) = found["reasons"]
    assert client.get("/api/user/quarantine", params={"reason": reason}).json()["total"] == 7
    assert client.get("/api/user/quarantine", params={"reason": "another"}).json()["total"] == 0
    assert client.get("/api/user/quarantine", params={"state": "replayed"}).json()["total"] == 0
    schema = table.schema().as_arrow()
    table.append(
        pa.Table.from_pylist(
            [dict.fromkeys(schema.names) | row | {"_replayed_at": NOW, "id": user_id(9)} for row in rows[:1]], schema
        )
    )
    answer = client.get("/api/user/quarantine", params={"reason": reason}).json()
    assert answer["total"] == answer["reasons"][reason] == 7
    again = client.get("/api/user/quarantine", params={"reason": reason, "state": "replayed"}).json()
    assert again["total"] == 1
    assert found["replay"]["command"] == "make quarantine OBJECT=user REPLAY=1"


def test_the_lake_is_opened_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import salesforce_history.connections

    opened = []
    original = salesforce_history.connections.lake_catalog
    monkeypatch.setattr(
        salesforce_history.connections, "lake_catalog", lambda conn_id: opened.append(conn_id) or original(conn_id)
    )
    for _ in range(3):
        client.get("/api/overview")
    assert opened == ["iceberg_default"]
    monkeypatch.setattr(lakes_module, "_OPEN_FOR", -1.0)
    client.get("/api/overview")
    assert len(opened) == 2
