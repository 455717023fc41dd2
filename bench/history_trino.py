"""Trino on this machine, over stand-ins for S3 and Glue, and what its queries took."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
import trino
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table

from bench.history_lake import Lake
from include.config.environment import current_environment
from local.cloud.aws import start_aws
from local.cloud.prepared import prepare
from local.cloud.trino import CATALOG, Trino, start_trino
from local.lake.catalog import CATALOG_NAME

_UNITS: Final = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class QueryCost:
    """What queries took.

    :param cpu: seconds of Trino's CPU.
    :param wall: seconds from the first one's start to its end, summed.
    :param scanned: bytes of files that were read (`physicalInputDataSize`).
    """

    cpu: float = 0.0
    wall: float = 0.0
    scanned: float = 0.0

    def __add__(self, other: QueryCost) -> QueryCost:
        return QueryCost(self.cpu + other.cpu, self.wall + other.wall, self.scanned + other.scanned)


class Asked:
    """Asks a Trino, and reads what its queries took.

    :param server: runs.
    """

    def __init__(self, server: Trino) -> None:
        self._address = f"http://127.0.0.1:{server.port}/v1/query"
        self._connection = trino.dbapi.connect(
            host="127.0.0.1", port=server.port, user="bench", catalog=CATALOG, max_attempts=1
        )

    def query(self, sql: str) -> tuple[list[list[Any]], QueryCost]:
        """Rows of a statement, and what it took.

        :param sql: a statement.
        """
        cursor = self._connection.cursor()
        cursor.execute(sql)
        rows = [list(row) for row in cursor.fetchall()]
        return rows, self._cost(str(cursor.query_id))

    def of_nodes(self, known: frozenset[str]) -> dict[str, QueryCost]:
        """What dbt's queries took, by node; dbt names it in a comment of each.

        :param known: queries that do not count; see `queries`.
        """
        costs: dict[str, QueryCost] = {}
        for one in self._listed():
            node = re.search(r'"node_id": "(?:model|test|snapshot)\.sf_history\.(\w+)', one["query"])
            if node and one["queryId"] not in known and one["state"] == "FINISHED":
                costs[node[1]] = costs.get(node[1], QueryCost()) + self._cost(one["queryId"])
        return costs

    def queries(self) -> frozenset[str]:
        """Ids of the queries that Trino remembers."""
        return frozenset(one["queryId"] for one in self._listed())

    def _listed(self) -> list[dict[str, Any]]:
        return self._get("")

    def _cost(self, query_id: str) -> QueryCost:
        stats = self._get(f"/{query_id}?pruned=true")["queryStats"]
        return QueryCost(
            cpu=_number(stats["totalCpuTime"], _SECONDS),
            wall=_number(stats["elapsedTime"], _SECONDS),
            scanned=_number(stats["physicalInputDataSize"], _UNITS),
        )

    def _get(self, path: str) -> Any:
        answer = requests.get(self._address + path, headers={"X-Trino-User": "bench"}, timeout=30)
        answer.raise_for_status()
        return json.loads(answer.text)


def _number(text: str, units: Mapping[str, float]) -> float:
    found = re.fullmatch(r"([\d.]+)([a-zA-Z]+)", text)
    if not found:
        raise ValueError(f"Trino says {text!r}; expected a number and one of {', '.join(units)}")
    return float(found[1]) * units[found[2]]


@contextmanager
def trino_lake(*, memory: str = "3G") -> Iterator[tuple[Lake, Asked]]:
    """An empty lake on stand-ins for S3 and Glue, and a Trino over it; in the working directory.

    :param memory: of Trino's heap.
    """
    with start_aws() as aws, start_trino(aws, memory=memory) as server:
        variables = {**aws.variables(), **server.variables(), "SF_HISTORY_DBT_THREADS": "1"}
        environment = current_environment(variables)
        databases = (environment.raw_namespace, environment.curated_namespace, environment.operations_namespace)
        warehouse = prepare(aws, bucket="bench", databases=databases)
        lake = Lake(
            catalog=load_catalog(CATALOG_NAME, **aws.catalog_properties(), warehouse=warehouse),
            environment=environment,
            variables=variables,
            folder=Path("trino").resolve(),
        )
        with lake.entered():
            yield lake, Asked(server)


def written(table: Table) -> dict[str, float]:
    """Files that the last commit of a table wrote and took away, by its snapshot's summary.

    :param table: is loaded anew.
    """
    snapshot = table.refresh().current_snapshot()
    summary = dict(snapshot.summary.additional_properties) if snapshot and snapshot.summary else {}
    return {
        "files_rewritten": float(summary.get("deleted-data-files", 0)),
        "files_added": float(summary.get("added-data-files", 0)),
        "delete_files_added": float(summary.get("added-delete-files", 0)),
        "bytes_added": float(summary.get("added-files-size", 0)),
    }
