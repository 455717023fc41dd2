"""The REST API: query, queryAll, describe, getUpdated and getDeleted, limits."""

from __future__ import annotations

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.org import timestamps
from local.org.api_calls import Call, data_api, json_answer, token_of, versions
from local.org.cursors import Page
from local.org.describe import describe_all, describe_object
from local.org.errors import SalesforceError, not_found, session_invalid
from local.org.ids import is_id, to_18
from local.org.schema import SObject
from local.org.strikes import PAGE

DEFAULT_PAGE = 2000
MAX_UPDATED = 600_000
_PAGE = (200, 2000)
_BATCH_SIZE = re.compile(r"\bbatchSize\s*=\s*(\d{1,9})", re.IGNORECASE)
_RETENTION_SECONDS = 30 * 24 * 3600
_DELETED_RETENTION_SECONDS = 15 * 24 * 3600


async def _versions(_request: Request) -> Response:
    return json_answer(
        [{"label": f"API {version}", "url": f"/services/data/v{version}", "version": version} for version in versions()]
    )


def _resources(call: Call) -> Response:
    base = f"/services/data/v{call.version}"
    who = call.org.credentials
    identity = {"identity": f"{call.org.login_url}/id/{who.org_id}/{who.user_id}"}
    resources = {name: f"{base}/{name}" for name in ("jobs", "limits", "query", "queryAll", "sobjects")}
    return json_answer(resources | identity)


def _query(call: Call) -> Response:
    return _answer_query(call, include_deleted=False)


def _query_all(call: Call) -> Response:
    return _answer_query(call, include_deleted=True)


def _answer_query(call: Call, *, include_deleted: bool) -> Response:
    org = call.org
    found = org.queries.plan(call.query("q") or "")
    if found.query.is_count:
        total = org.queries.count(found, include_deleted=include_deleted)
        return json_answer({"totalSize": total, "done": True, "records": []})
    page = org.cursors.open(
        sobject=found.sobject.name,
        fields=[field.name for field in found.fields],
        include_deleted=include_deleted,
        page=_page_size(call),
        ids=list(org.queries.ids(found, include_deleted=include_deleted)),
        at=org.store.clock,
    )
    return _answer_page(call, page)


def _query_more(call: Call) -> Response:
    return _answer_page(call, call.org.cursors.page(call.path("locator"), at=call.org.store.clock))


def _answer_page(call: Call, page: Page) -> Response:
    sobject = call.org.queries.sobject(page.object)
    fields = []
    for name in page.fields:
        field = sobject.field(name)
        if field is None:
            raise SalesforceError("INVALID_FIELD", f"No such column '{name}' on entity '{sobject.name}'.")
        fields.append(field)
    records = call.org.queries.records(
        sobject, fields, page.ids, version=call.version, include_deleted=page.include_deleted
    )
    answer: dict[str, Any] = {"totalSize": page.total, "done": page.next_locator is None}
    if page.next_locator is not None:
        answer["nextRecordsUrl"] = f"/services/data/v{call.version}/query/{page.next_locator}"
    return json_answer({**answer, "records": records})


def _page_size(call: Call) -> int:
    """Return the page size that the client asked for, within what is allowed."""
    if (short := call.request.scope.get(PAGE)) is not None:
        return int(short)
    found = _BATCH_SIZE.search(call.request.headers.get("sforce-query-options", ""))
    return min(max(int(found[1]), _PAGE[0]), _PAGE[1]) if found else DEFAULT_PAGE


def _describe_global(call: Call) -> Response:
    names = sorted(call.org.schema)
    found = [call.org.queries.sobject(name) for name in names]
    return json_answer(
        {
            "encoding": "UTF-8",
            "maxBatchSize": 200,
            "sobjects": [describe_object(sobject, version=call.version) for sobject in found],
        }
    )


def _basic(call: Call) -> Response:
    sobject = call.org.queries.sobject(call.path("sobject"))
    return json_answer({"objectDescribe": describe_object(sobject, version=call.version), "recentItems": []})


def _describe(call: Call) -> Response:
    return json_answer(describe_all(call.org.queries.sobject(call.path("sobject")), version=call.version))


def _record(call: Call) -> Response:
    sobject, key = call.org.queries.sobject(call.path("sobject")), call.path("record_id")
    fields = [field for field in sobject.fields if field.type != "base64"]
    records = (
        call.org.queries.records(sobject, fields, [to_18(key)], version=call.version, include_deleted=False)
        if is_id(key)
        else []
    )
    if not records:
        raise not_found("Provided external ID field does not exist or is not accessible: " + key)
    return json_answer(records[0])


def _range(call: Call, *, retention: int) -> tuple[SObject, int, int]:
    """Return the object and the range (seconds since 1970, whole minutes) of a getUpdated or getDeleted."""
    sobject = call.org.queries.sobject(call.path("sobject"))
    bounds = []
    for name in ("start", "end"):
        text = (call.query(name) or "").replace(" ", "+")
        try:
            bounds.append(int(timestamps.parse_exact(text)) // 60 * 60)
        except ValueError:
            raise SalesforceError("INVALID_PARAMETER", f"{name}: {text!r} is not {timestamps.ALLOWED}") from None
    start, end = bounds
    if start >= end:
        raise SalesforceError("INVALID_REPLICATION_DATE", f"startDate: {call.query('start')} must be before endDate")
    if start < call.org.store.clock - retention:
        raise SalesforceError(
            "INVALID_REPLICATION_DATE", f"startDate cannot be more than {retention // 86400} days ago"
        )
    return sobject, start, end


def _updated(call: Call) -> Response:
    sobject, start, end = _range(call, retention=_RETENTION_SECONDS)
    covered = call.org.store.latest_covered(sobject.name, end=end)
    ids = call.org.queries.changed(sobject, start=start, end=end)
    if len(ids) > MAX_UPDATED:
        raise SalesforceError("EXCEEDED_ID_LIMIT", f"too many updates in the range: more than {MAX_UPDATED}")
    return json_answer({"ids": ids, "latestDateCovered": timestamps.rest(covered)})


def _deleted(call: Call) -> Response:
    sobject, start, end = _range(call, retention=_DELETED_RETENTION_SECONDS)
    covered = call.org.store.latest_covered(sobject.name, end=end)
    earliest = (call.org.store.clock - _DELETED_RETENTION_SECONDS) // 60 * 60
    rows = call.org.queries.deleted(sobject, start=start, end=end)
    return json_answer(
        {
            "deletedRecords": [{"deletedDate": timestamps.rest(at), "id": key} for key, at in rows],
            "earliestDateAvailable": timestamps.rest(earliest),
            "latestDateCovered": timestamps.rest(covered),
        }
    )


def _limits(call: Call) -> Response:
    usage = call.org.usage
    left = max(0, usage.maximum - usage.used(at=call.org.store.clock))
    jobs = 10_000
    return json_answer(
        {
            "DailyApiRequests": {"Max": usage.maximum, "Remaining": left},
            "DailyBulkV2QueryFileStorageMB": {"Max": 976_562, "Remaining": 976_562},
            "DailyBulkV2QueryJobs": {"Max": jobs, "Remaining": max(0, jobs - len(call.org.jobs.list()))},
        }
    )


async def _user_info(request: Request) -> Response:
    org = request.app.state.org
    if not org.sessions.is_open(token_of(request)):
        error = session_invalid()
        return JSONResponse(error.body(), status_code=error.status)
    who = org.credentials
    return json_answer(
        {
            "sub": f"{org.instance_url}/id/{who.org_id}/{who.user_id}",
            "user_id": who.user_id,
            "organization_id": who.org_id,
            "preferred_username": who.username,
        }
    )


def routes() -> list[Route]:
    """Return the REST API's routes."""
    base = "/services/data/v{version}"
    table = {
        "": ("resources", _resources),
        "/query": ("query", _query),
        "/queryAll": ("queryAll", _query_all),
        "/query/{locator}": ("queryMore", _query_more),
        "/queryAll/{locator}": ("queryMore", _query_more),
        "/sobjects": ("sobjects", _describe_global),
        "/sobjects/{sobject}": ("sobject", _basic),
        "/sobjects/{sobject}/describe": ("describe", _describe),
        "/sobjects/{sobject}/updated": ("getUpdated", _updated),
        "/sobjects/{sobject}/deleted": ("getDeleted", _deleted),
        "/sobjects/{sobject}/{record_id}": ("record", _record),
        "/limits": ("limits", _limits),
    }
    found = [
        Route(f"{base}{path}{slash}", data_api(name, handler), methods=["GET"])
        for path, (name, handler) in table.items()
        for slash in ("", "/")
    ]
    return [
        Route("/services/data", _versions),
        Route("/services/data/", _versions),
        Route("/services/oauth2/userinfo", _user_info, methods=["GET", "POST"]),
        *found,
    ]
