"""Query executions: started, run side by side, looked at, stopped."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from local.cloud.aws import ACCOUNT, Aws
from local.cloud.trino import Trino
from tests.athena.answers import USER, USER_ERROR, Cancelled, Failed, Refused, Result, Text
from tests.athena.dialect import Plan, plan
from tests.athena.engine import Engine
from tests.athena.moto import client
from tests.athena.results import Row, file_of, page_of, rows_of

_SIDE_BY_SIDE = 8
_PAGE = 1000


@dataclass
class Execution:
    """One query execution."""

    id: str
    query: str
    plan: Plan
    engine: Engine
    context: Mapping[str, str]
    workgroup: str
    folder: str
    configuration: Mapping[str, Any]
    state: str = "QUEUED"
    reason: str | None = None
    error: Mapping[str, Any] | None = None
    output: str = ""
    result: Result | Text = field(default_factory=Text)
    rows: list[Row] = field(default_factory=list)
    submitted: float = field(default_factory=time.time)
    completed: float | None = None

    def described(self) -> dict[str, Any]:
        """GetQueryExecution's answer."""
        took = int(((self.completed or time.time()) - self.submitted) * 1000)
        status: dict[str, Any] = {"State": self.state, "SubmissionDateTime": self.submitted}
        if self.completed:
            status["CompletionDateTime"] = self.completed
        if self.reason:
            status["StateChangeReason"] = self.reason
        if self.error:
            status["AthenaError"] = self.error
        return {
            "QueryExecutionId": self.id,
            "Query": self.query,
            "StatementType": self.plan.kind,
            "SubstatementType": self.plan.sub,
            "QueryExecutionContext": dict(self.context),
            "ResultConfiguration": {
                **self.configuration,
                "OutputLocation": self.output or f"{self.folder}{self.id}.csv",
            },
            "WorkGroup": self.workgroup,
            "EngineVersion": {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"},
            "Status": status,
            "Statistics": {
                "EngineExecutionTimeInMillis": took,
                "TotalExecutionTimeInMillis": took,
                "QueryQueueTimeInMillis": 0,
                "ServiceProcessingTimeInMillis": 0,
                "DataScannedInBytes": self.result.scanned if isinstance(self.result, Result) else 0,
            },
        }


class Executions:
    """All executions of an endpoint.

    :param server: the Trino that runs them.
    :param aws: its Glue and S3, where results are left.
    """

    def __init__(self, server: Trino, aws: Aws) -> None:
        self._server, self._aws = server, aws
        self._s3 = client(aws, "s3")
        self._workgroups = client(aws, "athena")
        self._known: dict[str, Execution] = {}
        self._by_token: dict[str, Execution] = {}
        self._turn = threading.Lock()
        self._pool = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="athena")

    def start(self, asked: Mapping[str, Any]) -> str:
        """StartQueryExecution: the id of a new execution, or of the one that the same token has started.

        :raises Refused: if it cannot begin.
        """
        token = asked.get("ClientRequestToken")
        workgroup = self.workgroup(asked.get("WorkGroup", "primary"))
        context = asked.get("QueryExecutionContext") or {}
        if context.get("Catalog", "awsdatacatalog").lower() != "awsdatacatalog":
            raise Refused(f"Data catalog {context['Catalog']} was not found")
        with self._turn:
            if token in self._by_token:
                there = self._by_token[str(token)]
                if there.query != asked["QueryString"]:
                    raise Refused("Idempotent parameters do not match")
                return there.id
            execution = Execution(
                id=str(uuid.uuid4()),
                query=asked["QueryString"],
                plan=plan(asked["QueryString"]),
                engine=Engine(self._server, self._aws, context.get("Database")),
                context={name: value for name, value in context.items() if value},
                workgroup=workgroup["Name"],
                folder=_folder(asked, workgroup),
                configuration=dict(asked.get("ResultConfiguration") or {}),
            )
            self._known[execution.id] = execution
            if token:
                self._by_token[str(token)] = execution
        limit = (workgroup.get("Configuration") or {}).get("BytesScannedCutoffPerQuery")
        self._pool.submit(self._run, execution, limit)
        return execution.id

    def of(self, execution_id: str) -> Execution:
        """An execution by its id.

        :raises Refused: if it is not known.
        """
        if execution_id not in self._known:
            raise Refused(f"QueryExecution {execution_id} was not found")
        return self._known[execution_id]

    def results(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """GetQueryResults.

        :raises Refused: before the query has succeeded.
        """
        execution = self.of(asked["QueryExecutionId"])
        if execution.state != "SUCCEEDED":
            message = (
                "Query has not yet finished" if execution.completed is None else "Query did not finish successfully"
            )
            raise Refused(f"{message}. Current state: {execution.state}")
        size = int(asked.get("MaxResults") or _PAGE)
        if not 1 <= size <= _PAGE:
            raise Refused(f"MaxResults is not within the range [1, {_PAGE}]")
        return page_of(execution.result, execution.rows, first=int(asked.get("NextToken") or 0), size=size)

    def stop(self, execution_id: str) -> None:
        """StopQueryExecution: nothing happens to one that has ended."""
        self.of(execution_id).engine.stop()

    def workgroup(self, name: str) -> Mapping[str, Any]:
        """A workgroup, as moto keeps it.

        :raises Refused: if it is not there, or disabled.
        """
        names = [group["Name"] for group in self._workgroups.list_work_groups()["WorkGroups"]]
        if name not in names:
            raise Refused(f"WorkGroup {name} is not found.")
        found: Mapping[str, Any] = self._workgroups.get_work_group(WorkGroup=name)["WorkGroup"]
        if found.get("State") == "DISABLED":
            raise Refused(f"WorkGroup {name} is disabled.")
        return found

    def _run(self, execution: Execution, limit: int | None) -> None:
        execution.state = "RUNNING"
        try:
            result = execution.plan.run(execution.engine)
            if limit and isinstance(result, Result) and result.scanned > limit:
                raise Cancelled(f"Query cancelled! : Bytes scanned limit was exceeded: {result.scanned} of {limit}")
            rows = rows_of(result) if isinstance(result, Result) else []
            ending, content = file_of(result, rows)
            execution.output = f"{execution.folder}{execution.id}.{ending}"
            self._leave(execution.output, content)
            self._leave(f"{execution.output}.metadata", b"")
            execution.result, execution.rows = result, rows
            self._end(execution, "SUCCEEDED")
        except Cancelled as cancelled:
            self._end(execution, "CANCELLED", str(cancelled))
        except (Failed, Refused) as failed:
            category, kind = failed.catalogued if isinstance(failed, Failed) else (USER, USER_ERROR)
            self._fail(execution, str(failed), category, kind)
        except Exception as broken:  # noqa: BLE001 - a query must end, and say why
            self._fail(execution, f"GENERIC_INTERNAL_ERROR: {broken!r}", 1, 100)

    def _fail(self, execution: Execution, reason: str, category: int, kind: int) -> None:
        execution.error = {
            "ErrorCategory": category,
            "ErrorType": kind,
            "Retryable": "ICEBERG_COMMIT_ERROR" in reason,
            "ErrorMessage": reason,
        }
        self._end(execution, "FAILED", reason)

    def _end(self, execution: Execution, state: str, reason: str | None = None) -> None:
        execution.reason, execution.completed = reason, time.time()
        execution.state = state

    def _leave(self, uri: str, content: bytes) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        try:
            self._s3.put_object(Bucket=bucket, Key=key, Body=content)
        except self._s3.exceptions.NoSuchBucket as missing:
            raise Failed("ACCESS_DENIED", f"Unable to verify/create output bucket {bucket}") from missing


def _folder(asked: Mapping[str, Any], workgroup: Mapping[str, Any]) -> str:
    configuration = workgroup.get("Configuration") or {}
    enforced = (configuration.get("ResultConfiguration") or {}).get("OutputLocation")
    wanted = (asked.get("ResultConfiguration") or {}).get("OutputLocation")
    location = enforced if configuration.get("EnforceWorkGroupConfiguration") and enforced else wanted or enforced
    if not location:
        raise Refused(
            "No output location provided. An output location is required either through the Workgroup result "
            "configuration setting or as an API input."
        )
    return str(location).rstrip("/") + "/"


#: The catalog that every account has.
AWS_DATA_CATALOG = {"Name": "AwsDataCatalog", "Type": "GLUE", "Parameters": {"catalog-id": ACCOUNT}}
