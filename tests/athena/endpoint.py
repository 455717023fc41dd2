"""Athena's API on loopback: AWS JSON 1.1 over HTTP. What is not about queries is passed on to moto.

python -m tests.athena.endpoint --aws http://127.0.0.1:5000 --trino-port 8080
"""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from local.cloud.aws import Aws
from local.cloud.trino import Trino
from tests.athena.answers import Refused
from tests.athena.executions import AWS_DATA_CATALOG, Executions
from tests.athena.moto import client


@dataclass(frozen=True)
class Athena:
    """An Athena that runs.

    :param endpoint: `http://127.0.0.1:<port>`.
    :param aws: everything else.
    """

    endpoint: str
    aws: Aws

    def variables(self) -> dict[str, str]:
        """Environment variables by which boto3, dbt-athena and Airflow's provider find it."""
        return {**self.aws.variables(), "AWS_ENDPOINT_URL_ATHENA": self.endpoint}

    def client(self) -> Any:
        """A boto3 client."""
        return client(Aws(self.endpoint), "athena")


@contextmanager
def start_athena(aws: Aws, server: Trino, *, port: int = 0) -> Iterator[Athena]:
    """Serve in a thread.

    :param aws: Glue and S3.
    :param server: the Trino.
    :param port: on 127.0.0.1; 0 for any.
    """
    executions = Executions(server, aws)
    handler = type("Handler", (_Handler,), {"actions": actions(executions), "aws": aws})
    http = ThreadingHTTPServer(("127.0.0.1", port), handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, name="athena", daemon=True)
    thread.start()
    try:
        yield Athena(f"http://127.0.0.1:{http.server_port}", aws)
    finally:
        http.shutdown()
        http.server_close()


Action = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def actions(executions: Executions) -> Mapping[str, Action]:
    """What is answered here.

    :param executions: the queries.
    """

    def data_catalog(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if asked["Name"].lower() != "awsdatacatalog":
            raise Refused(f"Data catalog {asked['Name']} was not found")
        return {"DataCatalog": AWS_DATA_CATALOG}

    def stop(asked: Mapping[str, Any]) -> Mapping[str, Any]:
        executions.stop(asked["QueryExecutionId"])
        return {}

    return {
        "StartQueryExecution": lambda asked: {"QueryExecutionId": executions.start(asked)},
        "GetQueryExecution": lambda asked: {"QueryExecution": executions.of(asked["QueryExecutionId"]).described()},
        "BatchGetQueryExecution": lambda asked: {
            "QueryExecutions": [executions.of(one).described() for one in asked["QueryExecutionIds"]],
            "UnprocessedQueryExecutionIds": [],
        },
        "GetQueryResults": executions.results,
        "StopQueryExecution": stop,
        "GetWorkGroup": lambda asked: {"WorkGroup": executions.workgroup(asked["WorkGroup"])},
        "GetDataCatalog": data_catalog,
        "ListDataCatalogs": lambda _: {"DataCatalogsSummary": [{"CatalogName": "AwsDataCatalog", "Type": "GLUE"}]},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    actions: Mapping[str, Action]
    aws: Aws

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        action = self.headers.get("X-Amz-Target", "").removeprefix("AmazonAthena.")
        if action not in self.actions:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            passed = requests.post(self.aws.endpoint, data=body, headers=headers, timeout=60)
            self._answer(passed.status_code, passed.content)
            return
        try:
            self._answer(200, json.dumps(self.actions[action](json.loads(body)), default=_plain).encode())
        except Refused as refused:
            said = {"__type": "InvalidRequestException", "AthenaErrorCode": "INVALID_INPUT", "Message": str(refused)}
            self._answer(400, json.dumps(said).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed for each request."""

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _plain(value: Any) -> Any:
    return value.timestamp() if hasattr(value, "timestamp") else str(value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C.

    :param arguments: the command line; that of the process by default.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.athena.endpoint", description=__doc__)
    parser.add_argument("--aws", required=True, help="address of the stand-in for AWS")
    parser.add_argument("--trino-port", type=int, required=True, help="port of the Trino over it")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any)")
    given = parser.parse_args(arguments)
    with start_athena(Aws(given.aws), Trino(given.trino_port, Path()), port=given.port) as running:
        print(running.endpoint, flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
