"""The Trino behind one query of the endpoint: statements, the types of a query, Iceberg tables by pyiceberg."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

import requests
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from local.cloud.aws import Aws
from local.cloud.trino import CATALOG, Trino
from tests.athena.answers import Cancelled, Failed, Result
from tests.athena.moto import client

_VIEW_KEYS = ("Name", "Owner", "ViewOriginalText", "ViewExpandedText", "TableType", "Parameters")
_HIVE_TYPES = {"varchar": "string", "char": "string", "integer": "int", "real": "float", "varbinary": "binary"}

#: Athena gives up at the hundred and first partition of a write, so there is one writer; and it lets VACUUM be asked
#: for any age, which Trino does from seven days on only.
_SESSION = {
    "task_max_writer_count": "1",
    "scale_writers": "false",
    "redistribute_writes": "false",
    f"{CATALOG}.max_partitions_per_writer": "100",
    f"{CATALOG}.expire_snapshots_min_retention": "0s",
    f"{CATALOG}.remove_orphan_files_min_retention": "0s",
}


class Engine:
    """What a query may do.

    :param server: the Trino.
    :param aws: its Glue and S3.
    :param schema: where names without a database are looked for.
    """

    def __init__(self, server: Trino, aws: Aws, schema: str | None) -> None:
        self.schema = schema or "default"
        self._url = f"http://127.0.0.1:{server.port}/v1/statement"
        self._aws = aws
        self._stopped = threading.Event()

    def run(self, sql: str, **session: str) -> Result:
        """Run a statement of Trino's to its end.

        :param sql: the statement.
        :param session: session properties of Trino's Iceberg catalog.
        :raises Failed: with Trino's name for the error.
        :raises Cancelled: if it was stopped.
        """
        settings = {**_SESSION, **{f"{CATALOG}.{name}": value for name, value in session.items()}}
        headers = {
            "X-Trino-User": "athena",
            # Else Trino cuts times to milliseconds.
            "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME",
            "X-Trino-Catalog": CATALOG,
            "X-Trino-Schema": self.schema,
            "X-Trino-Session": ",".join(f"{name}={value}" for name, value in settings.items()),
        }
        rows: list[Sequence[object]] = []
        with requests.Session() as http:
            self._go_on()
            said = http.post(self._url, data=sql.encode(), headers=headers, timeout=600).json()
            while uri := said.get("nextUri"):
                if self._stopped.is_set():
                    http.delete(uri, timeout=60)
                    self._go_on()
                said = http.get(uri, timeout=600).json()
                rows += said.get("data") or []
        if error := said.get("error"):
            raise Failed(error["errorName"], error["message"])
        return _result(said, rows)

    def columns_of(self, query: str) -> Sequence[tuple[str, str]]:
        """Name and type of a query's columns, without running it.

        :param query: a SELECT.
        """
        return self.run(f"select * from (\n{query}\n) limit 0").columns

    def stop(self) -> None:
        """Cancel what runs, and whatever would run next."""
        self._stopped.set()

    def table(self, name: Sequence[str]) -> Table:
        """An Iceberg table.

        :param name: with its database or without.
        :raises Failed: if it is not there.
        """
        try:
            return self.catalog.load_table(self.qualified(name))
        except NoSuchTableError as missing:
            raise Failed("TABLE_NOT_FOUND", f"Table '{'.'.join(self.qualified(name))}' does not exist") from missing

    @property
    def catalog(self) -> Catalog:
        """The Glue catalog, by pyiceberg."""
        return load_catalog("glue", **self._aws.catalog_properties())

    def tell_glue(self, name: Sequence[str], columns: Sequence[tuple[str, str]]) -> None:
        """Put a view's columns into Glue, where Athena has them and Trino has not.

        :param name: of the view.
        :param columns: name and type of each, as Trino says it.
        """
        glue = client(self._aws, "glue")
        database, view = self.qualified(name)
        there = glue.get_table(DatabaseName=database, Name=view)["Table"]
        described = [{"Name": column, "Type": hive_type(kind)} for column, kind in columns]
        changed = {key: there[key] for key in _VIEW_KEYS if key in there}
        glue.update_table(
            DatabaseName=database, TableInput={**changed, "StorageDescriptor": {"Columns": described, "Location": ""}}
        )
        # Athena writes once; dbt-athena looks at older versions too, and expects the columns in each.
        glue.delete_table_version(DatabaseName=database, TableName=view, VersionId=there["VersionId"])

    def qualified(self, name: Sequence[str]) -> tuple[str, str]:
        """Database and table.

        :param name: with its catalog and database or without.
        """
        return (name[-2] if len(name) > 1 else self.schema), name[-1]

    def named(self, name: Sequence[str]) -> str:
        """A table's name as Trino reads it.

        :param name: with its catalog and database or without.
        """
        return ".".join(quoted(part) for part in (CATALOG, *self.qualified(name)))

    def _go_on(self) -> None:
        if self._stopped.is_set():
            raise Cancelled("Query has been cancelled by user")


def hive_type(kind: str) -> str:
    """A type of Trino's as Hive and Glue have it.

    :param kind: such as `varchar(5)`.
    """
    simple = re.sub(r"^(timestamp|varchar|char|time)\(.*", r"\1", kind)
    return _HIVE_TYPES.get(simple, simple)


def quoted(name: str) -> str:
    """A name in double quotes.

    :param name: of a column, a table, a database.
    """
    return '"' + name.replace('"', '""') + '"'


def _result(said: dict[str, Any], rows: list[Sequence[object]]) -> Result:
    return Result(
        columns=[(column["name"], column["type"]) for column in said.get("columns") or ()],
        rows=rows,
        updated=said.get("updateCount"),
        scanned=int(said["stats"].get("physicalInputBytes") or 0),
    )
