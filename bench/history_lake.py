"""A lake with a prepared history, dbt on it in this process, and what each node of dbt takes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from dbt.cli.main import dbtRunner, dbtRunnerResult
from pyiceberg.catalog import Catalog

from bench.history_data import History, Writer
from include.config.environment import Environment, current_environment
from local.lake.catalog import LakeFolder, lake_folder

PROJECT = Path(__file__).resolve().parent.parent / "dbt"


@dataclass
class NodeCost:
    """What a node of dbt took.

    :param cpu: seconds of this process's CPU.
    :param wall: seconds.
    :param read: bytes that this process read, from files and pipes.
    """

    cpu: float = 0.0
    wall: float = 0.0
    read: int = 0


@dataclass
class Costs:
    """A callback of dbt that notes what each node takes; one node at a time."""

    nodes: dict[str, NodeCost] = field(default_factory=dict)
    _begun: dict[str, NodeCost] = field(default_factory=dict)

    def __call__(self, event: Any) -> None:
        """Called by dbt for each of its events."""
        if event.info.name not in ("NodeStart", "NodeFinished"):
            return
        name = event.data.node_info.node_name
        now = NodeCost(time.process_time(), time.perf_counter(), bytes_read())
        if event.info.name == "NodeStart":
            self._begun[name] = now
        elif (begun := self._begun.pop(name, None)) is not None:
            self.nodes[name] = NodeCost(now.cpu - begun.cpu, now.wall - begun.wall, now.read - begun.read)


def bytes_read() -> int:
    """Bytes that this process has read so far (Linux; elsewhere 0)."""
    try:
        return int(Path("/proc/self/io").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0


@dataclass(frozen=True, kw_only=True)
class Lake:
    """Tables, and dbt's way to them.

    :param catalog: of the tables.
    :param environment: names them.
    :param variables: environment variables of dbt.
    :param folder: for dbt's files.
    """

    catalog: Catalog
    environment: Environment
    variables: Mapping[str, str]
    folder: Path

    def dbt(self, *arguments: str, costs: Costs | None = None, project: Path = PROJECT) -> dbtRunnerResult:
        """Run dbt in this process.

        :param arguments: as on its command line.
        :param costs: told of each node.
        :param project: the dbt project's folder.
        :raises RuntimeError: when a node failed.
        """
        result = dbtRunner(callbacks=[costs] if costs else []).invoke(
            [
                *arguments,
                "--project-dir", str(project),
                "--profiles-dir", str(PROJECT),
                "--target-path", str(self.folder / "target"),
                "--log-path", str(self.folder / "logs"),
                "--quiet",
            ]
        )  # fmt: skip
        if not result.success:
            failed = [f"{one.node.name}: {one.message}" for one in cast("Any", result.result or []) if one.message]
            raise RuntimeError(f"dbt {arguments[0]} failed: {result.exception or failed}")
        return result

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be in a process that has its variables."""
        before = dict(os.environ)
        os.environ.update(self.variables, DBT_SEND_ANONYMOUS_USAGE_STATS="false", SF_HISTORY_ROOT=str(PROJECT.parent))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def laptop_lake(folder: Path) -> Lake:
    """A lake in a folder, DuckDB over it.

    :param folder: its tables and dbt's files.
    """
    variables = {"SF_HISTORY_DBT_TARGET": "local", "SF_HISTORY_LAKE": str(folder)}
    return Lake(
        catalog=lake_folder(folder).open_catalog(),
        environment=current_environment(variables),
        variables=variables,
        folder=folder,
    )


def fill(lake: Lake, history: History) -> Writer:
    """Write a history into an empty lake: log, ledger and dimension.

    :param lake: empty.
    :param history: how much.
    """
    writer = Writer(lake.catalog, lake.environment)
    writer.create()
    # dbt makes its own tables, as on a first run; they are empty because the log is.
    lake.dbt("run", "--select", "+dim_sf_user_scd")
    writer.write(history)
    writer.write_versions(history, writer.tables.dimension)
    return writer


def build(lake: Lake, *, costs: Costs | None = None) -> None:
    """Bring the dimension up to date with all its tests but the cross-check with dbt's snapshot.

    :param lake: has batches that are not consumed.
    :param costs: told of each node.
    """
    lake.dbt(
        "build", "--select", "+dim_sf_user_scd", "--exclude", "resource_type:snapshot", "resource_type:unit_test",
        "sf_raw.*", "dim_sf_user_agrees_with_snapshot", "stg_sf_user", costs=costs,
    )  # fmt: skip


def prepared(history: History) -> Lake:
    """The lake of a history in the working directory: made the first time, and put back to how it was then.

    :param history: how much.
    """
    folder = Path(f"history-{history.versions}").resolve()
    tables = LakeFolder(path=folder)
    kept = folder / "kept"
    if not kept.exists():
        shutil.rmtree(folder, ignore_errors=True)
        lake = laptop_lake(folder)
        with lake.entered():
            writer = fill(lake, history)
            writer.write_mirror(history, [])
            lake.dbt("run", "--select", "stg_sf_user")
            lake.dbt("snapshot", "--select", "sf_user_snapshot")
            writer.write_past(history, writer.tables.snapshot)
        _set_down(tables, kept)
    _put_back(tables, kept)
    return laptop_lake(folder)


def _set_down(tables: LakeFolder, kept: Path) -> None:
    draft = kept.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    shutil.copy(tables.catalog_file, draft)
    files = "\n".join(str(file) for file in (tables.path / "warehouse").rglob("*") if file.is_file())
    (draft / "files.txt").write_text(files, encoding="utf-8")
    draft.rename(kept)


def _put_back(tables: LakeFolder, kept: Path) -> None:
    """Nothing of an Iceberg table is ever changed in place: the catalog as it was has the tables as they were."""
    shutil.copy(kept / tables.catalog_file.name, tables.catalog_file)
    for file in tables.path.glob(f"{tables.views_file.name}*"):
        file.unlink()
    there = set((kept / "files.txt").read_text(encoding="utf-8").splitlines())
    for file in (tables.path / "warehouse").rglob("*"):
        if file.is_file() and str(file) not in there:
            file.unlink()
