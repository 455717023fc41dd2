"""An Iceberg REST catalog on loopback, over the SQLite catalog of the lake folder.

DuckDB writes Iceberg tables only through a REST catalog. This is as much of that protocol as DuckDB uses; pyiceberg
checks every commit's requirements and stores it, so both see the same tables and the same conflicts.
"""

from __future__ import annotations

import json
import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import CreateTableRequest
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NamespaceNotEmptyError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import CommitTableRequest, Table

from local.lake.bounds import mend_bounds

logger = logging.getLogger(__name__)

#: Exception of pyiceberg → HTTP status and error type of the Iceberg REST specification.
_ERRORS: dict[type[Exception], HTTPStatus] = {
    NoSuchNamespaceError: HTTPStatus.NOT_FOUND,
    NoSuchTableError: HTTPStatus.NOT_FOUND,
    NamespaceAlreadyExistsError: HTTPStatus.CONFLICT,
    NamespaceNotEmptyError: HTTPStatus.CONFLICT,
    TableAlreadyExistsError: HTTPStatus.CONFLICT,
    CommitFailedException: HTTPStatus.CONFLICT,
}
_ENDPOINTS = [
    "GET /v1/{prefix}/namespaces",
    "POST /v1/{prefix}/namespaces",
    "GET /v1/{prefix}/namespaces/{namespace}",
    "HEAD /v1/{prefix}/namespaces/{namespace}",
    "DELETE /v1/{prefix}/namespaces/{namespace}",
    "GET /v1/{prefix}/namespaces/{namespace}/tables",
    "POST /v1/{prefix}/namespaces/{namespace}/tables",
    "GET /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "POST /v1/{prefix}/namespaces/{namespace}/tables/{table}",
    "DELETE /v1/{prefix}/namespaces/{namespace}/tables/{table}",
]


class RestCatalogServer(ThreadingHTTPServer):
    """The endpoint, listening on 127.0.0.1 at a free port. `serve_in_background` starts it, `shutdown` ends it.

    :param catalog: the catalog that it speaks for. SQLite's own locking makes concurrent commits safe: the pointer
        to a table's metadata is moved only if it still is where the commit found it.
    """

    daemon_threads = True

    def __init__(self, *, catalog: Catalog) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.catalog = catalog
        #: Tables that were asked for and not yet committed.
        self.staged: dict[tuple[str, ...], Table] = {}

    @property
    def url(self) -> str:
        """Address of the endpoint."""
        return f"http://127.0.0.1:{self.server_port}"

    def serve_in_background(self) -> None:
        """Answer requests in a daemon thread of this process."""
        threading.Thread(
            target=self.serve_forever, name="iceberg-rest", kwargs={"poll_interval": 0.05}, daemon=True
        ).start()


class _Handler(BaseHTTPRequestHandler):
    server: RestCatalogServer
    protocol_version = "HTTP/1.1"
    # An answer leaves in one segment: with Nagle's algorithm each one would wait for the client's delayed ACK.
    disable_nagle_algorithm = True
    wbufsize = -1

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        try:
            status, answer = self._route(parts[1:], body)
        except tuple(_ERRORS) as error:
            status = next(code for kind, code in _ERRORS.items() if isinstance(error, kind))
            answer = _error(status, type(error).__name__, str(error))
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("%s %s: refused: %s", self.command, self.path, error)
            status = HTTPStatus.BAD_REQUEST
            answer = _error(status, "BadRequestException", f"{type(error).__name__}: {error}")
        except Exception as error:
            # A catalog that is locked, a disk that is full: DuckDB gets a reason instead of a closed connection.
            logger.exception("%s %s failed", self.command, self.path)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            answer = _error(status, type(error).__name__, str(error))
        self._send(status, answer)

    do_GET = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815 - http.server looks for these names

    def _route(self, parts: list[str], body: dict[str, Any]) -> tuple[HTTPStatus, str | None]:
        match parts:
            case ["config"]:
                return HTTPStatus.OK, json.dumps({"defaults": {}, "overrides": {}, "endpoints": _ENDPOINTS})
            case ["namespaces"]:
                return self._namespaces(body)
            case ["namespaces", namespace]:
                return self._namespace(_namespace(namespace))
            case ["namespaces", namespace, "tables"]:
                return self._tables(_namespace(namespace), body)
            case ["namespaces", namespace, "tables", table]:
                return self._table((*_namespace(namespace), table), body)
        return HTTPStatus.NOT_FOUND, _error(HTTPStatus.NOT_FOUND, "NotFoundException", f"no such endpoint: {self.path}")

    def _namespaces(self, body: dict[str, Any]) -> tuple[HTTPStatus, str]:
        catalog = self.server.catalog
        if self.command == "POST":
            catalog.create_namespace(tuple(body["namespace"]), body.get("properties") or {})
            return HTTPStatus.OK, json.dumps(
                {"namespace": body["namespace"], "properties": body.get("properties") or {}}
            )
        return HTTPStatus.OK, json.dumps({"namespaces": [list(name) for name in sorted(catalog.list_namespaces())]})

    def _namespace(self, namespace: tuple[str, ...]) -> tuple[HTTPStatus, str | None]:
        catalog = self.server.catalog
        if self.command == "DELETE":
            catalog.drop_namespace(namespace)
            return HTTPStatus.NO_CONTENT, None
        properties = catalog.load_namespace_properties(namespace)
        if self.command == "HEAD":
            return HTTPStatus.NO_CONTENT, None
        return HTTPStatus.OK, json.dumps({"namespace": list(namespace), "properties": properties})

    def _tables(self, namespace: tuple[str, ...], body: dict[str, Any]) -> tuple[HTTPStatus, str]:
        catalog = self.server.catalog
        if self.command == "POST":
            return HTTPStatus.OK, _described(self._create(namespace, body))
        identifiers = [{"namespace": list(name[:-1]), "name": name[-1]} for name in catalog.list_tables(namespace)]
        return HTTPStatus.OK, json.dumps({"identifiers": identifiers})

    def _create(self, namespace: tuple[str, ...], body: dict[str, Any]) -> Table:
        request = CreateTableRequest.model_validate(
            {"location": None, "partition-spec": None, "write-order": None, **body}
        )
        identifier = (*namespace, request.name)
        wanted: dict[str, Any] = {"schema": request.table_schema, "location": request.location}
        wanted["properties"] = request.properties
        if request.partition_spec:
            wanted["partition_spec"] = request.partition_spec
        if request.write_order:
            wanted["sort_order"] = request.write_order
        if not request.stage_create:
            return self.server.catalog.create_table(identifier, **wanted)
        if self.server.catalog.table_exists(identifier):
            raise TableAlreadyExistsError(f"Table {'.'.join(identifier)} already exists")
        # The table comes into being with its first commit, which asserts that nobody made it meanwhile.
        staged = self.server.catalog.create_table_transaction(identifier, **wanted)._table
        self.server.staged[identifier] = staged
        # DuckDB writes the manifests of a CTAS before the commit and makes no folder for them.
        Path(staged.location().removeprefix("file://"), "metadata").mkdir(parents=True, exist_ok=True)
        return staged

    def _table(self, identifier: tuple[str, ...], body: dict[str, Any]) -> tuple[HTTPStatus, str | None]:
        catalog = self.server.catalog
        if self.command == "DELETE":
            if "purgeRequested=true" in urlsplit(self.path).query:
                catalog.purge_table(identifier)
            else:
                catalog.drop_table(identifier)
            return HTTPStatus.NO_CONTENT, None
        if self.command == "HEAD":
            catalog.load_table(identifier)
            return HTTPStatus.NO_CONTENT, None
        if self.command == "POST":
            self._commit(identifier, body)
        return HTTPStatus.OK, _described(catalog.load_table(identifier))

    def _commit(self, identifier: tuple[str, ...], body: dict[str, Any]) -> None:
        name = {"namespace": list(identifier[:-1]), "name": identifier[-1]}
        request = CommitTableRequest.model_validate({**body, "identifier": name})
        catalog = self.server.catalog
        try:
            table = catalog.load_table(identifier)
        except NoSuchTableError:
            if identifier not in self.server.staged:
                raise
            table = self.server.staged[identifier]
        catalog.commit_table(table, request.requirements, mend_bounds(table, request.updates))
        self.server.staged.pop(identifier, None)

    def _send(self, status: HTTPStatus, answer: str | None) -> None:
        payload = (answer or "").encode()
        self.send_response(status)
        if status is not HTTPStatus.NO_CONTENT:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)


def _namespace(part: str) -> tuple[str, ...]:
    return tuple(part.split("\x1f"))


def _described(table: Table) -> str:
    metadata = table.metadata.model_dump_json()
    return f'{{"metadata-location": {json.dumps(table.metadata_location)}, "metadata": {metadata}, "config": {{}}}}'


def _error(status: HTTPStatus, kind: str, message: str) -> str:
    return json.dumps({"error": {"message": message, "type": kind, "code": int(status)}})
