"""Bulk API 2.0: query jobs and their results."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from local.org import timestamps
from local.org.api_calls import Call, data_api, json_answer, whole_number
from local.org.bulk_jobs import Job
from local.org.bulk_results import DELIMITERS, LINE_ENDINGS
from local.org.errors import SalesforceError, invalid_locator, method_not_allowed, not_found
from local.org.strikes import JOB_END, JOB_SECONDS, PAGE

OPERATIONS = ("query", "queryAll")
_LISTED = 1000
#: The first version with resultPages, the pages that one answer names, and their records: Salesforce tells no number.
_PAGES_SINCE, _PAGES_NAMED, _PAGE_RECORDS = 58.0, 5, 50_000


def job_json(call: Call, job: Job, *, whole: bool = True) -> dict[str, Any]:
    """Return a job as the API writes it.

    :param call: the call that is answered.
    :param job: the job.
    :param whole: whether with the figures that only a job's own resource has.
    """
    answer: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": call.org.credentials.user_id,
        "createdDate": timestamps.rest(job.created),
        "systemModstamp": timestamps.rest(job.modified),
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": job.version,
        "lineEnding": job.line_ending,
        "columnDelimiter": job.delimiter,
    }
    if whole:
        answer["jobType"] = "V2Query"
        answer["numberRecordsProcessed"] = job.records
        answer["retries"] = 0
        answer["totalProcessingTime"] = job.milliseconds
        answer["isPkChunkingSupported"] = False
        if job.error is not None:
            answer["errorMessage"] = job.error
    return answer


def _body(call: Call) -> dict[str, Any]:
    try:
        value = json.loads(call.body)
    except (ValueError, RecursionError) as error:
        raise SalesforceError("JSON_PARSER_ERROR", f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise SalesforceError("JSON_PARSER_ERROR", "the body is not a JSON object")
    return value


def _choice(body: dict[str, Any], key: str, allowed: tuple[str, ...], default: str | None) -> str:
    value = body.get(key, default)
    if value not in allowed:
        raise SalesforceError("INVALID_FIELD", f"{key}: {value!r} is not allowed; allowed are {', '.join(allowed)}")
    return str(value)


def _jobs(call: Call) -> Response:
    if call.request.method == "POST":
        return _create(call)
    jobs = call.org.jobs.list()
    start = _locator(call.query("queryLocator"))
    listed = jobs[start : start + _LISTED]
    done = start + _LISTED >= len(jobs)
    base = f"/services/data/v{call.version}/jobs/query"
    return json_answer(
        {
            "done": done,
            "records": [job_json(call, job, whole=False) | {"jobType": "V2Query"} for job in listed],
            "nextRecordsUrl": None if done else f"{base}?queryLocator={_encode(start + _LISTED)}",
        }
    )


def _create(call: Call) -> Response:
    body = _body(call)
    known = ("operation", "query", "contentType", "columnDelimiter", "lineEnding")
    unknown = sorted(set(body) - set(known))
    if unknown:
        raise SalesforceError("JSON_PARSER_ERROR", f'Unrecognized field "{unknown[0]}"; allowed are {", ".join(known)}')
    operation = _choice(body, "operation", OPERATIONS, None)
    _choice(body, "contentType", ("CSV",), "CSV")
    query = body.get("query")
    if not isinstance(query, str) or not query.strip():
        raise SalesforceError("INVALID_FIELD", "query: a query job needs a query")
    job = call.org.jobs.create(
        operation=operation,
        query=query,
        version=call.version,
        delimiter=_choice(body, "columnDelimiter", tuple(DELIMITERS), "COMMA"),
        line_ending=_choice(body, "lineEnding", tuple(LINE_ENDINGS), "LF"),
        end=call.request.scope.get(JOB_END),
        seconds=float(call.request.scope.get(JOB_SECONDS) or 0),
    )
    return json_answer(job_json(call, job, whole=False))


def _job(call: Call) -> Response:
    jobs, job_id = call.org.jobs, call.path("job_id")
    match call.request.method:
        case "GET" | "HEAD":
            return json_answer(job_json(call, jobs.get(job_id)))
        case "PATCH":
            _choice(_body(call), "state", ("Aborted",), None)
            return json_answer(job_json(call, jobs.abort(job_id), whole=False))
        case "DELETE":
            jobs.delete(job_id)
            return Response(status_code=204)
        case method:
            raise method_not_allowed(method)


def _results(call: Call) -> Response:
    short = call.request.scope.get(PAGE)
    asked = whole_number(call.query("maxRecords"), name="maxRecords", low=1, high=10**9)
    maximum = asked if short is None else int(short)
    start, size = _part(call.query("locator"))
    if maximum is None or (size is not None and size < maximum):
        maximum = size
    part = call.org.jobs.results(call.path("job_id"), start=start, maximum=maximum)
    following = "null" if part.next_start is None else _encode(part.next_start)
    headers = {"Sforce-Locator": following, "Sforce-NumberOfRecords": str(part.records)}
    return StreamingResponse(part.chunks, media_type="text/csv", headers=headers)


def _result_pages(call: Call) -> Response:
    if float(call.version) < _PAGES_SINCE:
        raise not_found()
    job = call.org.jobs.completed(call.path("job_id"))
    if float(call.version) != job.version:
        raise SalesforceError("API_VERSION_MISMATCH", f"the job was created by version {job.version}", status=409)
    size = int(call.request.scope.get(PAGE) or _PAGE_RECORDS)
    starts = range(_locator(call.query("locator")), max(1, job.records), size)
    base = f"/services/data/v{call.version}/jobs/query/{job.id}"
    answer: dict[str, Any] = {
        "resultPages": [
            {"resultUrl": f"{base}/results?locator={_encode_part(start, size)}"} for start in starts[:_PAGES_NAMED]
        ],
        "done": len(starts) <= _PAGES_NAMED,
    }
    if not answer["done"]:
        answer["nextRecordsUrl"] = f"{base}/resultPages?locator={_encode(starts[_PAGES_NAMED])}"
    return json_answer(answer)


def _encode(position: int) -> str:
    return base64.urlsafe_b64encode(str(position).encode()).decode()


def _encode_part(position: int, size: int) -> str:
    return base64.urlsafe_b64encode(f"{position}+{size}".encode()).decode()


def _locator(text: str | None) -> int:
    return _part(text)[0]


def _part(text: str | None) -> tuple[int, int | None]:
    """Position and size that a locator names; those of Sforce-Locator name no size."""
    if not text:
        return 0, None
    try:
        position, _, size = base64.urlsafe_b64decode(text).decode("ascii").partition("+")
    except (binascii.Error, ValueError):
        raise invalid_locator() from None
    if not position.isdigit() or len(position) > 15 or (size and not size.isdigit()):
        raise invalid_locator()
    return int(position), int(size) if size else None


def routes() -> list[Route]:
    """Return Bulk API 2.0's routes."""
    base = "/services/data/v{version}/jobs/query"
    return [
        route
        for slash in ("", "/")
        for route in (
            Route(f"{base}{slash}", data_api("bulkJobs", _jobs), methods=["GET", "POST"]),
            Route(f"{base}/{{job_id}}{slash}", data_api("bulkJob", _job), methods=["GET", "PATCH", "DELETE"]),
            Route(f"{base}/{{job_id}}/results{slash}", data_api("bulkResults", _results), methods=["GET"]),
            Route(f"{base}/{{job_id}}/resultPages{slash}", data_api("bulkResultPages", _result_pages), methods=["GET"]),
        )
    ]
