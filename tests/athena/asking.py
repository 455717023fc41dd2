"""Asking Athena as any client does: start, look until it has ended, get the results page by page."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tests.athena.endpoint import Athena

RESULTS = "athena-results"


class QueryFailed(AssertionError):
    """The query has not succeeded; the message is Athena's."""


class Asking:
    """A client of one database.

    :param athena: the endpoint.
    :param database: where bare names are looked for.
    """

    def __init__(self, athena: Athena, database: str) -> None:
        self.client, self.database = athena.client(), database

    def start(self, sql: str, **more: Any) -> str:
        """Start a query; its id."""
        found: str = self.client.start_query_execution(
            QueryString=sql,
            QueryExecutionContext={"Catalog": "AwsDataCatalog", "Database": self.database},
            ResultConfiguration={"OutputLocation": f"s3://{RESULTS}/tests/"},
            **more,
        )["QueryExecutionId"]
        return found

    def end(self, execution: str) -> Mapping[str, Any]:
        """The execution, once it has ended."""
        while True:
            found: Mapping[str, Any] = self.client.get_query_execution(QueryExecutionId=execution)["QueryExecution"]
            if found["Status"]["State"] not in ("QUEUED", "RUNNING"):
                return found
            time.sleep(0.02)

    def __call__(self, sql: str) -> list[dict[str, str | None]]:
        """Rows of a query, values as text.

        :raises QueryFailed: with the reason.
        """
        execution = self.start(sql)
        ended = self.end(execution)
        if ended["Status"]["State"] != "SUCCEEDED":
            raise QueryFailed(ended["Status"]["StateChangeReason"])
        pages = self.client.get_paginator("get_query_results").paginate(QueryExecutionId=execution)
        rows = [
            [datum.get("VarCharValue") for datum in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]
        ]
        if ended["StatementType"] != "DML" or not rows:
            return [{"result": row[0]} for row in rows]
        header, *others = rows
        return [dict(zip(map(str, header), row, strict=True)) for row in others]
