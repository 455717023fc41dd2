"""DuckDB's Iceberg extensions without a download: each comes as a wheel, which is linked to where DuckDB looks."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from pathlib import Path

import duckdb

#: In the order in which they are loaded: iceberg needs the other two.
EXTENSIONS = ("avro", "httpfs", "iceberg")

#: How a DuckDB is opened that loads them. Its signature check reads 80 MB, 0.3 s of CPU for each dbt task; pip has
#: checked the same files already, as it has checked DuckDB itself.
CONNECTION_CONFIG: dict[str, str | bool | int | float | list[str]] = {"allow_unsigned_extensions": True}


class ExtensionMissing(RuntimeError):
    """A DuckDB extension is not installed as a wheel, or was built for another DuckDB."""


def link_extensions(folder: Path) -> None:
    """Link the extension wheels into an extension folder, where `LOAD` finds them. Safe to call at any time.

    :param folder: DuckDB's `extension_directory`.
    :raises ExtensionMissing: naming the wheel to install.
    """
    version, platform = _duckdb_build()
    target = folder / version / platform
    target.mkdir(parents=True, exist_ok=True)
    for name in EXTENSIONS:
        source = _wheel_file(name, version)
        link = target / source.name
        if link.is_symlink() and link.readlink() == source:
            continue
        # Two processes may do this at once: the last one to rename wins, and both links are right.
        fresh = link.with_name(f"{link.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(source)
        fresh.replace(link)


def load_extensions(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Link the extension wheels and load them into a connection; no network is used.

    :param connection: its `extension_directory` is set.
    :param folder: extension folder, see `link_extensions`.
    """
    link_extensions(folder)
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute(f"SET extension_directory = '{str(folder).replace(chr(39), chr(39) * 2)}'")
    for name in EXTENSIONS:
        connection.execute(f"LOAD {name}")


def _duckdb_build() -> tuple[str, str]:
    with duckdb.connect() as connection:
        row = connection.execute("SELECT version(), (SELECT platform FROM pragma_platform())").fetchone()
    if row is None:
        raise ExtensionMissing("DuckDB does not say which build it is; reinstall the duckdb package")
    return row[0], row[1]


def _wheel_file(name: str, version: str) -> Path:
    package = f"duckdb_extension_{name}"
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ExtensionMissing(
            f"DuckDB's {name} extension is not installed. Install {package.replace('_', '-')}=={version[1:]}."
        )
    for location in spec.submodule_search_locations:
        found = Path(location) / "extensions" / version / f"{name}.duckdb_extension"
        if found.is_file():
            return found
    raise ExtensionMissing(
        f"{package} was built for another DuckDB than the installed {version}. "
        f"Install {package.replace('_', '-')}=={version[1:]}."
    )
