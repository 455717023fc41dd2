"""Where figures come from: the machine, and the versions of what was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

_PACKAGES = (
    "apache-airflow",
    "astronomer-cosmos",
    "dbt-core",
    "dbt-duckdb",
    "dbt-trino",
    "duckdb",
    "pyarrow",
    "pyiceberg",
    "simple-salesforce",
)


class Machine(BaseModel):
    """What somebody needs to know to compare.

    :param processor: its name.
    :param cores: how many may be used.
    :param memory_gb: of memory.
    :param system: operating system.
    :param python: version.
    :param packages: name → version.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    processor: str
    cores: int
    memory_gb: int
    system: str
    python: str
    packages: dict[str, str]

    @classmethod
    def this(cls) -> Machine:
        """The one that this runs on."""
        return cls(
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            memory_gb=round(psutil.virtual_memory().total / 2**30),
            system=f"{platform.system()} {platform.release().split('-')[0]}",
            python=platform.python_version(),
            packages={name: found for name in _PACKAGES if (found := _version(name))},
        )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
