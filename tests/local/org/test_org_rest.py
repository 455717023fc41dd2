"""The REST API through the unmodified client and plain requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from simple_salesforce import Salesforce
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)

from local.org.handle import OrgHandle
from local.org.ids import numbered
from tests.local.org.conftest import ACCOUNTS, USERS, log_in


def get(client: Salesforce, path: str, **headers: str) -> requests.Response:
    url = f"https://{client.sf_instance}{path}"
    return client.session.get(url, headers={**client.headers, **headers}, timeout=60)


def test_a_query_is_paged_to_its_end(salesforce: Salesforce) -> None:
    first = salesforce.query("SELECT Id, Name FROM User ORDER BY Id")
    assert (first["totalSize"], first["done"], len(first["records"])) == (USERS, False, 2000)
    assert re.fullmatch(r"/services/data/v59\.0/query/01g\w{15}-2000", first["nextRecordsUrl"])
    found = salesforce.query_all("SELECT Id, Name FROM User ORDER BY Id")["records"]
    assert [record["Id"] for record in found] == sorted(numbered("005", number) for number in range(USERS))
    assert found[7]["attributes"] == {
        "type": "User",
        "url": f"/services/data/v59.0/sobjects/User/{found[7]['Id']}",
    }


def test_the_page_size_is_honoured_within_bounds(salesforce: Salesforce) -> None:
    for asked, got in (("500", 500), ("1", 200), ("9999", 2000)):
        headers = {"Sforce-Query-Options": f"batchSize={asked}"}
        answer = get(salesforce, "/services/data/v59.0/query/?q=SELECT+Id+FROM+User", **headers).json()
        assert len(answer["records"]) == got
        assert answer["nextRecordsUrl"].endswith(f"-{got}")


def test_values_are_written_as_the_rest_api_does(salesforce: Salesforce) -> None:
    (record,) = salesforce.query(
        f"SELECT isactive, Division, CreatedDate, ManagerId, Address FROM User WHERE Id = '{numbered('005', 2)}'"
    )["records"]
    del record["attributes"]
    assert dict(record) == {
        "IsActive": True,
        "Division": None,
        "CreatedDate": "2026-01-05T01:00:02.000+0000",
        "ManagerId": None,
        "Address": None,
    }
    assert list(record) == ["IsActive", "Division", "CreatedDate", "ManagerId", "Address"]
    (account,) = salesforce.query(f"SELECT AnnualRevenue FROM Account WHERE Id = '{numbered('001', 1)}'")["records"]
    assert repr(account["AnnualRevenue"]) == "10.0"


def test_count(salesforce: Salesforce) -> None:
    answer = salesforce.query("SELECT COUNT() FROM User WHERE IsActive = false")
    assert dict(answer) == {"totalSize": USERS // 5, "done": True, "records": []}


def test_query_all_shows_soft_deleted_records_and_query_does_not(salesforce: Salesforce) -> None:
    text = "SELECT Id, IsDeleted FROM Account"
    assert salesforce.query(text)["totalSize"] == ACCOUNTS - 1
    found = salesforce.query(text, include_deleted=True)
    assert found["totalSize"] == ACCOUNTS
    assert [record["Id"] for record in found["records"] if record["IsDeleted"]] == [numbered("001", 3)]


def test_describe(salesforce: Salesforce) -> None:
    described = salesforce.User.describe()
    fields = {field["name"]: field for field in described["fields"]}
    assert "IsDeleted" not in fields
    division = fields["Division"]
    assert (division["type"], division["length"], division["nillable"]) == ("string", 80, True)
    phase = fields["Audit_Phase__c"]
    assert (phase["type"], phase["custom"], phase["restrictedPicklist"]) == ("picklist", True, False)
    assert [item["value"] for item in phase["picklistValues"]] == ["Phase1", "Phase2", "Phase3", "Complete"]
    assert {"active", "defaultValue", "label", "value"} <= set(phase["picklistValues"][0])
    assert described["keyPrefix"] == "005"
    everything = salesforce.describe()
    assert [item["name"] for item in everything["sobjects"]] == ["Account", "Organization", "User"]
    assert salesforce.Account.metadata()["objectDescribe"]["name"] == "Account"
    with pytest.raises(SalesforceResourceNotFound):
        salesforce.Lead.describe()


@pytest.mark.parametrize("sobject", ["User", "Account"])
def test_field_lists_are_those_of_real_orgs(salesforce: Salesforce, groundtruth: Path, sobject: str) -> None:
    real = json.loads((groundtruth / "objects" / f"{sobject}.json").read_text())
    ours = {field["name"]: field for field in getattr(salesforce, sobject).describe()["fields"]}
    assert set(ours) - {field["name"] for field in real["fields"]} == (
        {"Audit_Phase__c"} if sobject == "User" else set()
    )
    for field in real["fields"]:
        mine = ours[field["name"]]
        values = [item["value"] for item in mine["picklistValues"]]
        assert values[: len(field.get("picklistValues", []))] == field.get("picklistValues", [])
        compared = set(field) - {"picklistValues"}
        assert {key: mine[key] for key in compared} == {key: field[key] for key in compared}, field["name"]


def test_the_error_for_a_missing_column_is_the_real_one(salesforce: Salesforce, groundtruth: Path) -> None:
    real = json.loads((groundtruth / "responses" / "errors_and_bulk_csv.json").read_text())
    recorded = real["user_isdeleted_invalid_field"]["body"][0]["message"]
    with pytest.raises(SalesforceMalformedRequest) as caught:
        salesforce.query("select Id, Email, FirstName, IsDeleted from User where Id = '0055e000005wvc4AAA'")
    assert caught.value.status == 400
    ours = caught.value.content[0]
    assert ours["errorCode"] == "INVALID_FIELD"
    assert ours["message"].split("\n")[4] == recorded.split("\n")[4]
    assert ours["message"].split("\n")[3] == "ERROR at Row:1:Column:30"
    assert recorded.split("\n")[3] == "ERROR at Row:1:Column:37", "there the field before is longer"


def test_a_record_by_id(salesforce: Salesforce) -> None:
    assert salesforce.User.get(numbered("005", 1)[:15])["Name"] == "User 1"
    for key in (numbered("005", 99_999), "nonsense"):
        with pytest.raises(SalesforceResourceNotFound) as caught:
            salesforce.User.get(key)
        assert caught.value.content[0]["errorCode"] == "NOT_FOUND"


def test_the_orgs_id_can_be_asked_for(salesforce: Salesforce, filled: OrgHandle) -> None:
    (record,) = salesforce.query("SELECT Id, IsSandbox FROM Organization")["records"]
    assert (record["Id"], record["IsSandbox"]) == (filled.org_id, False)
    assert salesforce.is_sandbox() is False
    info = get(salesforce, "/services/oauth2/userinfo").json()
    assert info["organization_id"] == filled.org_id


def test_unknown_paths_versions_methods_and_locators(salesforce: Salesforce) -> None:
    for path in ("/services/data/v59.0/nothing", "/services/data/v30.0/query?q=x", "/", "/services/data/v59/limits"):
        answer = get(salesforce, path)
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    answer = salesforce.session.post(f"{salesforce.base_url}limits", headers=salesforce.headers, timeout=60)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (405, "METHOD_NOT_ALLOWED")
    for locator in ("01gXXXXXXXXXXXXXXX-2000", "x"):
        answer = get(salesforce, f"/services/data/v59.0/query/{locator}")
        assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    assert get(salesforce, f"/services/data/v59.0/query?q={'x' * 20_000}").status_code == 414
    assert get(salesforce, "/services/data").json()[-1]["version"] == "66.0"


def test_every_answer_carries_the_orgs_date_and_the_api_usage(salesforce: Salesforce) -> None:
    for path in ("/services/data/v59.0/limits", "/services/data/v59.0/query?q=x"):
        answer = get(salesforce, path)
        assert answer.headers["Date"] == "Mon, 05 Jan 2026 06:00:00 GMT"
        assert re.fullmatch(r"api-usage=\d+/100000", answer.headers["Sforce-Limit-Info"])
    assert get(salesforce, "/nothing").headers["Date"] == "Mon, 05 Jan 2026 06:00:00 GMT"


def test_answers_are_compressed_when_asked(salesforce: Salesforce) -> None:
    path = "/services/data/v59.0/query?q=SELECT+Id+FROM+User"
    packed = get(salesforce, path, **{"Accept-Encoding": "gzip"})
    plain = get(salesforce, path, **{"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json()["records"] == plain.json()["records"]


def insert(number: int, at: str = "2026-01-05T01:00:00Z", **more: Any) -> dict[str, Any]:
    return {"at": at, "op": "insert", "object": "Account", "Id": numbered("001", number), **more}


def test_a_cursor_keeps_its_records_while_the_org_changes(org: OrgHandle, live: Callable[..., None]) -> None:
    changed, gone = ({"Id": numbered("001", number)} for number in (300, 301))
    live(
        *(insert(number, fields={"Name": "old"}) for number in range(401)),
        insert(500, at="2026-01-05T02:00:00Z"),
        {"at": "2026-01-05T02:00:00Z", "op": "update", "object": "Account", "fields": {"Name": "new"}, **changed},
        {"at": "2026-01-05T02:00:00Z", "op": "purge", "object": "Account", **gone},
    )
    org.set_clock(datetime(2026, 1, 5, 1, 30, tzinfo=UTC))
    client = log_in(org)
    headers = {"Sforce-Query-Options": "batchSize=200"}
    first = get(client, "/services/data/v59.0/query?q=SELECT+Name+FROM+Account+ORDER+BY+Id", **headers).json()
    org.set_clock(datetime(2026, 1, 5, 3, tzinfo=UTC))
    second = get(client, first["nextRecordsUrl"]).json()
    assert (first["totalSize"], second["totalSize"], len(second["records"])) == (401, 401, 199)
    assert [record["Name"] for record in second["records"]].count("new") == 1
    third = get(client, second["nextRecordsUrl"]).json()
    assert (third["done"], len(third["records"])) == (True, 1)
    org.set_clock(datetime(2026, 1, 8, tzinfo=UTC))
    assert get(client, first["nextRecordsUrl"]).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


def test_get_updated_and_get_deleted(org: OrgHandle, live: Callable[..., None], groundtruth: Path) -> None:
    kept, deleted, late = (numbered("001", number) for number in (9001, 9002, 9003))
    live(
        insert(9001, at="2026-02-01T01:00:00Z"),
        insert(9002, at="2026-02-01T01:00:00Z"),
        {"at": "2026-02-01T02:00:10Z", "op": "delete", "object": "Account", "Id": deleted},
        {
            "at": "2026-02-01T03:00:40Z",
            "visible_at": "2026-02-01T05:00:00Z",
            "op": "insert",
            "object": "Account",
            "Id": late,
        },
    )
    org.set_clock(datetime(2026, 2, 1, 4, tzinfo=UTC))
    client = log_in(org)
    bounds = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 1, 6, tzinfo=UTC)
    updated, removed = client.Account.updated(*bounds), client.Account.deleted(*bounds)
    responses = groundtruth / "responses"
    assert set(updated) == set(json.loads((responses / "get_updated_success_response.json").read_text()))
    assert set(removed) == set(json.loads((responses / "get_deleted_success_response.json").read_text()))
    assert updated["ids"] == [kept]
    assert updated["latestDateCovered"] == "2026-02-01T03:00:00.000+0000", "a transaction is open since then"
    assert removed["deletedRecords"] == [{"deletedDate": "2026-02-01T02:00:10.000+0000", "id": deleted}]
    org.set_clock(datetime(2026, 2, 1, 5, tzinfo=UTC))
    updated = client.Account.updated(*bounds)
    assert (updated["ids"], updated["latestDateCovered"]) == ([kept, late], "2026-02-01T05:00:00.000+0000")
    with pytest.raises(SalesforceMalformedRequest) as caught:
        client.Account.updated(datetime(2025, 12, 1, tzinfo=UTC), bounds[1])
    assert caught.value.content[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def test_api_calls_count_in_a_rolling_day_and_end_at_the_limit(org: OrgHandle, groundtruth: Path) -> None:
    org.set_clock(datetime(2026, 3, 1, tzinfo=UTC))
    client = log_in(org)
    org.set_limits(used=8, maximum=10)
    assert client.limits()["DailyApiRequests"] == {"Max": 10, "Remaining": 1}
    assert client.api_usage["api-usage"] == (9, 10)
    client.query("SELECT count() FROM User")
    real = json.loads((groundtruth / "responses" / "errors_and_bulk_csv.json").read_text())["request_limit"]
    with pytest.raises(SalesforceRefusedRequest) as caught:
        client.query("SELECT count() FROM User")
    assert (caught.value.status, caught.value.content) == (real["status"], real["body"])
    org.set_clock(datetime(2026, 3, 2, tzinfo=UTC))
    client.query("SELECT count() FROM User")
    org.set_limits(maximum=100_000)
    assert org.stats()["api"]["used"] == 1


def test_the_schema_drifts(org: OrgHandle, live: Callable[..., None]) -> None:
    client = log_in(org)
    org.change_schema("add", "Account", {"name": "Tier__c", "type": "string", "length": 10})
    live(insert(7001, at="2026-01-01T00:00:00Z", fields={"Tier__c": "gold"}))
    (record,) = client.query("SELECT Tier__c FROM Account WHERE Tier__c != null")["records"]
    assert record["Tier__c"] == "gold"
    org.change_schema("hide", "Account", {"name": "Tier__c"})
    with pytest.raises(SalesforceMalformedRequest, match="No such column 'Tier__c'"):
        client.query("SELECT Tier__c FROM Account")
    assert "Tier__c" not in {field["name"] for field in client.Account.describe()["fields"]}
    org.change_schema("show", "Account", {"name": "Tier__c"})
    org.change_schema("alter", "Account", {"name": "Tier__c", "length": 40})
    (field,) = (field for field in client.Account.describe()["fields"] if field["name"] == "Tier__c")
    assert (field["length"], field["custom"], field["nillable"]) == (40, True, True)
    org.change_schema("remove", "Account", {"name": "Tier__c"})
    assert "Tier__c" not in {field["name"] for field in client.Account.describe()["fields"]}
    live(insert(7002, at="2026-01-01T00:00:00Z", fields={"Name": "after"}))
    assert client.query("SELECT Id FROM Account WHERE Name = 'AFTER'")["totalSize"] == 1
