"""The engines that dbt's targets stand for, each over a catalog of its own: DuckDB on a folder, Trino on Glue and S3.

What a test needs of an engine is all in `Engine`, so that one test runs on any of them.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest
from dbt.cli.main import dbtRunner, dbtRunnerResult
from dbt.contracts.graph.manifest import Manifest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.glue import GlueCatalog

from include.config.environment import Environment, current_environment
from local.cloud.aws import Aws
from local.cloud.prepared import prepare
from local.cloud.trino import Trino
from local.lake.catalog import CATALOG_NAME, lake_folder
from tests.parsed_project import PROJECT, parse


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An engine with a lake.

    :param name: what a test calls it: duckdb, trino …
    :param catalog: its tables.
    :param environment: its names.
    :param variables: environment variables of its dbt; `SF_HISTORY_DBT_TARGET` says which target.
    :param folder: for dbt's files and for staged ones.
    """

    name: str
    catalog: Catalog
    environment: Environment
    variables: Mapping[str, str]
    folder: Path

    @property
    def target(self) -> str:
        """Target of dbt/profiles.yml."""
        return self.variables["SF_HISTORY_DBT_TARGET"]

    def parsed(self, project: Path = PROJECT / "dbt") -> Manifest:
        """A dbt project as parsed for this engine's target and names.

        :param project: its folder.
        """
        names = tuple(sorted((name, value) for name, value in self.variables.items() if _is_parsed(name)))
        return _parsed(project, self.target, names)

    def dbt(self, *arguments: str, project: Path = PROJECT / "dbt") -> dbtRunnerResult:
        """Run dbt in this process; the result says what failed.

        :param arguments: as on its command line.
        :param project: the project's folder.
        """
        folder = self.folder / "target"
        with self.environment_variables():
            return dbtRunner(manifest=self.parsed(project)).invoke(
                [
                    *arguments,
                    "--project-dir", str(project),
                    "--profiles-dir", str(project),
                    "--target", self.target,
                    "--target-path", str(folder),
                    "--log-path", str(folder / "logs"),
                    "--quiet",
                ]
            )  # fmt: skip

    @contextmanager
    def environment_variables(self) -> Iterator[None]:
        """Be in a process that has this engine's variables, and none of another one's."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("SF_HISTORY_")]:
                patch.delenv(name)
            for name, value in {**self.variables, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}.items():
                patch.setenv(name, value)
            yield

    def rows(self, identifier: str) -> pa.Table:
        """All rows of a table.

        :param identifier: `namespace.table`.
        """
        return self.catalog.load_table(identifier).scan().to_arrow()

    def empty(self) -> None:
        """Forget every table and view of Glue's databases: another test begins."""
        glue = cast("GlueCatalog", self.catalog).glue
        for namespace in namespaces(self.environment):
            tables = glue.get_tables(DatabaseName=namespace)["TableList"]
            glue.batch_delete_table(DatabaseName=namespace, TablesToDelete=[table["Name"] for table in tables])


def namespaces(environment: Environment) -> tuple[str, str, str]:
    """Raw, curated and operations namespace of an environment."""
    return environment.raw_namespace, environment.curated_namespace, environment.operations_namespace


def failures(result: dbtRunnerResult) -> list[str]:
    """What failed in a dbt run, for an assertion's message."""
    if result.exception:
        return [str(result.exception)]
    return [
        f"{one.node.name}: {one.status}: {one.message}"
        for one in result.result or []
        if one.status not in ("success", "pass", "warn")
    ]


def duckdb_engine(folder: Path) -> Engine:
    """DuckDB over a lake in a folder.

    :param folder: of the test; the lake is `lake` in it.
    """
    variables = {"SF_HISTORY_DBT_TARGET": "local", "SF_HISTORY_LAKE": str(folder / "lake")}
    return Engine(
        name="duckdb",
        catalog=lake_folder(folder / "lake").open_catalog(),
        environment=current_environment(variables),
        variables=variables,
        folder=folder,
    )


def trino_engine(trino: Trino, aws: Aws, folder: Path, *, suffix: str = "") -> Engine:
    """Trino over databases of its own.

    :param trino: runs over `aws`.
    :param aws: Glue and S3.
    :param folder: for dbt's files and for staged ones.
    :param suffix: of its databases' names, which tests that use the same AWS must not share: sf_raw_<suffix>.
    """
    return glue_engine("trino", aws, folder, suffix=suffix, variables=trino.variables())


def glue_engine(name: str, aws: Aws, folder: Path, *, suffix: str, variables: Mapping[str, str]) -> Engine:
    """An engine over Glue databases and a bucket of its own, which are made if they are not there.

    :param name: of the engine.
    :param aws: Glue and S3.
    :param folder: for dbt's files and for staged ones.
    :param suffix: of the databases' names and of the bucket's.
    :param variables: by which dbt finds the engine.
    """
    tail = f"_{suffix}" if suffix else ""
    every = {
        **aws.variables(),
        **variables,
        "SF_HISTORY_STAGING_URI": str(folder / "staging"),
        "SF_HISTORY_RAW_NAMESPACE": f"sf_raw{tail}",
        "SF_HISTORY_CURATED_NAMESPACE": f"sf_curated{tail}",
        "SF_HISTORY_OPERATIONS_NAMESPACE": f"sf_ops{tail}",
    }
    environment = current_environment(every)
    warehouse = prepare(aws, bucket=f"engines{tail.replace('_', '-')}", databases=namespaces(environment))
    return Engine(
        name=name,
        catalog=load_catalog(CATALOG_NAME, **aws.catalog_properties(), warehouse=warehouse),
        environment=environment,
        variables=every,
        folder=folder,
    )


def _is_parsed(name: str) -> bool:
    """Whether a variable is part of what dbt parses; ports, folders and credentials are not."""
    return name.endswith(("_NAMESPACE", "_LOCATION", "_CATALOG"))


@functools.cache
def _parsed(project: Path, target: str, names: tuple[tuple[str, str], ...]) -> Manifest:
    with tempfile.TemporaryDirectory() as folder:
        return parse(Path(folder), project, target=target, variables=dict(names))
