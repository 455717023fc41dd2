"""What is read follows from describe, object file and window; what cannot be read is said, with the cure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from include.config.object_file import ObjectFile, read_object_files
from include.salesforce.client import SalesforceClient
from include.salesforce.errors import FieldMissing, ObjectMissing, UnexpectedSchema
from include.salesforce.filters import window_span
from include.salesforce.read_plan import make_read_plan
from include.salesforce.schema_check import validate_schema
from include.staging.manifest import ReadPlan, Window
from local.org.handle import OrgHandle
from tests.include.salesforce.conftest import window

MakeClient = Callable[..., SalesforceClient]
USER = read_object_files()["user"]
ACCOUNT = read_object_files()["account"]


def changed(file: ObjectFile, **changes: Any) -> ObjectFile:
    return ObjectFile.model_validate(file.model_dump(mode="python") | changes)


def plan_of(client: SalesforceClient, file: ObjectFile, window: Window, **options: Any) -> ReadPlan:
    return make_read_plan(client=client, object_file=file, run_id="run", window=window, **options)


def test_user_is_planned_as_the_org_shows_it(shared_org: OrgHandle, client_of: MakeClient) -> None:
    plan = plan_of(client_of(shared_org), USER, window())
    assert [field.name for field in plan.fields] == [name for name in USER.fields if name != "IsDeleted"]
    assert {field.column: field.column_type for field in plan.fields} == {
        "id": "string",
        "name": "string",
        "division": "string",
        "audit_phase__c": "string",
        "lastmodifieddate": "timestamptz",
        "systemmodstamp": "timestamptz",
        "isactive": "boolean",
        "createddate": "timestamptz",
    }
    assert (plan.has_is_deleted, plan.absent, plan.cursor, plan.created) == (False, (), "SystemModstamp", "CreatedDate")
    assert (plan.org_id, plan.noun, plan.api, plan.estimated_rows) == (shared_org.org_id, "user", "rest", 500)
    assert plan.planned_at == shared_org.clock
    assert ReadPlan.model_validate(plan.model_dump(mode="json")) == plan


def test_account_is_read_with_its_deleted_records(shared_org: OrgHandle, client_of: MakeClient) -> None:
    plan = plan_of(client_of(shared_org), ACCOUNT, window())
    assert plan.has_is_deleted
    assert plan.estimated_rows == 40
    unlisted = changed(ACCOUNT, fields=[name for name in ACCOUNT.fields if name != "IsDeleted"], dimension_names={})
    assert "isdeleted" in [field.column for field in plan_of(client_of(shared_org), unlisted, window()).fields]


@pytest.mark.parametrize(("threshold", "api"), [(501, "rest"), (500, "bulk"), (0, "bulk")])
def test_bulk_is_used_from_its_threshold_on(
    shared_org: OrgHandle, client_of: MakeClient, threshold: int, api: str
) -> None:
    client = client_of(shared_org)
    assert plan_of(client, USER, window(), bulk_from_rows=threshold).api == api
    assert plan_of(client, changed(USER, bulk_from_rows=threshold), window()).api == api


def test_a_query_too_long_for_a_url_goes_by_bulk(
    shared_org: OrgHandle, client_of: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.salesforce.read_plan.LONGEST_REST_QUERY", 50)
    assert plan_of(client_of(shared_org), USER, window()).api == "bulk"


def test_field_names_are_matched_in_any_case_and_spelled_as_the_org_does(
    shared_org: OrgHandle, client_of: MakeClient
) -> None:
    file = changed(USER, fields=[*USER.fields, "firstname"])
    assert plan_of(client_of(shared_org), file, window()).fields[-1].name == "FirstName"


def test_a_field_that_must_be_there_is_named_with_its_cure(own_org: OrgHandle, client_of: MakeClient) -> None:
    for name, role in [("Division", "tracked"), ("Name", "required"), ("LastModifiedDate", "order")]:
        own_org.change_schema("hide", "User", {"name": name})
        with pytest.raises(FieldMissing, match=rf"User\.{name} .*{role}.*permission set"):
            plan_of(client_of(own_org), USER, window())
        own_org.change_schema("show", "User", {"name": name})
    assert plan_of(client_of(own_org), USER, window()).absent == ()


def test_a_field_that_may_be_missing_is_noted_and_left_out(own_org: OrgHandle, client_of: MakeClient) -> None:
    for name in ("IsActive", "SystemModstamp"):
        own_org.change_schema("hide", "User", {"name": name})
    plan = plan_of(client_of(own_org), USER, window())
    assert plan.absent == ("SystemModstamp", "IsActive")
    assert plan.cursor == "LastModifiedDate"


def test_an_object_that_is_not_there_is_named(shared_org: OrgHandle, client_of: MakeClient) -> None:
    with pytest.raises(ObjectMissing, match=r"describing Unheard__c.*API name"):
        plan_of(client_of(shared_org), changed(USER, object="Unheard__c"), window())


def test_a_compound_field_is_refused_with_its_parts(shared_org: OrgHandle, client_of: MakeClient) -> None:
    file = changed(ACCOUNT, fields=[*ACCOUNT.fields, "BillingAddress"])
    with pytest.raises(UnexpectedSchema, match=r"BillingAddress is of type address.*BillingStreet, BillingCity"):
        plan_of(client_of(shared_org), file, window())


def test_fields_that_differ_only_in_case_are_refused_with_both_names(own_org: OrgHandle, client_of: MakeClient) -> None:
    own_org.change_schema("add", "User", {"name": "TITLE", "type": "string"})
    assert plan_of(client_of(own_org), USER, window()).drift == ()
    file = changed(USER, fields=[*USER.fields, "Title"])
    with pytest.raises(UnexpectedSchema, match=r"User\.Title and User\.TITLE differ only in case.*title.*Rename one"):
        plan_of(client_of(own_org), file, window())
    assert not validate_schema(client=client_of(own_org), object_file=file).fits


def test_a_cursor_must_be_a_moment(shared_org: OrgHandle, client_of: MakeClient) -> None:
    with pytest.raises(UnexpectedSchema, match=r"User\.Name cannot be the cursor"):
        plan_of(client_of(shared_org), changed(USER, cursor="Name"), window())


def test_windows_become_half_open_filters() -> None:
    full, part = window(full=True), window()
    options = {"cursor": "SystemModstamp", "created": "CreatedDate", "read_start": part.end}
    assert window_span(part, **options).where == (
        "SystemModstamp >= 2026-01-05T00:00:00Z AND SystemModstamp < 2026-01-05T06:00:00Z"
    )
    assert window_span(full, **options).where == "CreatedDate < 2026-01-05T06:00:00Z"
    assert window_span(full, **(options | {"created": None})).where == ""


def test_validate_schema_says_what_fits_and_what_does_not(own_org: OrgHandle, client_of: MakeClient) -> None:
    own_org.change_schema("hide", "User", {"name": "Division"})
    own_org.change_schema("hide", "User", {"name": "IsActive"})
    file = changed(
        USER,
        fields=[*USER.fields, "Address", "Email", "Alias"],
        required=["Id", "Name", "Email", "Audit_Phase__c"],
        accepted_values={"Audit_Phase__c": ["Phase1", "Phase9"]},
    )
    report = validate_schema(client=client_of(own_org), object_file=file)
    verdicts = {field.name: field.verdict for field in report.fields}
    assert not report.fits
    assert verdicts["Division"] == verdicts["Address"] == "problem"
    assert verdicts["IsActive"] == verdicts["Audit_Phase__c"] == "warning"
    assert verdicts["IsDeleted"] == verdicts["Email"] == verdicts["Alias"] == "fits"
    text = report.render()
    for said in ("does not fit", "permission set", "quarantine", "Phase2", "Phase9", "has no soft delete", "Street"):
        assert said in text
    assert validate_schema(client=client_of(own_org), object_file=ACCOUNT).fits
