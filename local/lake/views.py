"""dbt's own DuckDB file: what was dropped from it stays in its free blocks until the file is written anew."""

from __future__ import annotations

import json
import os

import duckdb
from dbt.cli.main import dbtRunner

from local.airflow_home import PROJECT
from local.lake.catalog import LakeFolder
from local.lake.extensions import CONNECTION_CONFIG


class ViewsNotCleaned(RuntimeError):
    """dbt's file may still hold rows of the erased. The message says what to do."""


def forget_intermediate_tables(lake: LakeFolder, *, noun: str) -> bool:
    """Drop an object's intermediate tables, which every dbt run builds anew, and leave no byte of them.

    :param lake: the lake folder.
    :param noun: name of the object file.
    :return: whether there was a file to clean.
    :raises ViewsNotCleaned: if dbt or DuckDB would not.
    """
    if not lake.views_file.is_file():
        return False
    os.environ["SF_HISTORY_LAKE"] = str(lake.path)
    project, arguments = str(PROJECT / "dbt"), json.dumps({"noun": noun})
    scratch = str(lake.path.parent / "logs" / "dbt_erase")
    result = dbtRunner().invoke(
        [
            "run-operation", "drop_intermediate_tables", "--args", arguments,
            "--project-dir", project, "--profiles-dir", project, "--target", "local",
            "--target-path", scratch, "--log-path", scratch, "--quiet",
        ]
    )  # fmt: skip
    if not result.success:
        raise ViewsNotCleaned(
            _REMEDY.format(file=lake.views_file, problem=result.exception or "dbt run-operation failed")
        )
    _close_dbt()
    try:
        write_anew(lake)
    except duckdb.Error as problem:
        raise ViewsNotCleaned(_REMEDY.format(file=lake.views_file, problem=" ".join(str(problem).split()))) from problem
    return True


def write_anew(lake: LakeFolder) -> None:
    """Copy everything that is in dbt's file to a new one, which takes its place.

    :param lake: the lake folder.
    """
    fresh = lake.views_file.with_suffix(".fresh")
    fresh.unlink(missing_ok=True)
    with duckdb.connect(config=CONNECTION_CONFIG) as connection:
        connection.execute(f"ATTACH '{_quoted(lake.views_file)}' AS views")
        connection.execute(f"ATTACH '{_quoted(fresh)}' AS fresh")
        connection.execute("COPY FROM DATABASE views TO fresh")
    fresh.replace(lake.views_file)
    lake.views_file.with_name(f"{lake.views_file.name}.wal").unlink(missing_ok=True)


def _close_dbt() -> None:
    """dbt keeps the file open for as long as the process lives; DuckDB opens no file twice."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager

    DuckDBConnectionManager.close_all_connections()


def _quoted(path: object) -> str:
    return str(path).replace("'", "''")


_REMEDY = (
    "The tables are clean, but {file} may still hold rows of the erased: {problem}. It holds nothing that dbt does not "
    "build anew: remove it by hand, then let the DAG run."
)
