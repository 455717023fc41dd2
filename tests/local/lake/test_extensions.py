"""DuckDB's extensions are taken from their wheels, without a network, and once."""

from __future__ import annotations

import duckdb
import pytest

from local.lake import extensions
from local.lake.extensions import EXTENSIONS, ExtensionMissing, link_extensions, load_extensions


def test_extensions_load_from_their_wheels(tmp_path):
    with duckdb.connect() as connection:
        load_extensions(connection, tmp_path / "it's here")
        loaded = connection.execute("select extension_name from duckdb_extensions() where loaded").fetchall()
    assert set(EXTENSIONS) <= {name for (name,) in loaded}


def test_linking_again_changes_nothing(tmp_path):
    link_extensions(tmp_path)
    links = {path: path.lstat().st_ino for path in tmp_path.rglob("*.duckdb_extension")}
    assert len(links) == len(EXTENSIONS)
    link_extensions(tmp_path)
    assert {path: path.lstat().st_ino for path in tmp_path.rglob("*.duckdb_extension")} == links


def test_a_link_to_a_virtualenv_that_is_gone_is_replaced(tmp_path):
    link_extensions(tmp_path)
    stale = next(tmp_path.rglob("iceberg.duckdb_extension"))
    stale.unlink()
    stale.symlink_to(tmp_path / "gone")
    link_extensions(tmp_path)
    assert stale.resolve().is_file()


def test_a_missing_wheel_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(extensions, "EXTENSIONS", ("nonsense",))
    with pytest.raises(ExtensionMissing, match="Install duckdb-extension-nonsense==1"):
        link_extensions(tmp_path)
