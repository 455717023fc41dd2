"""The vendored libraries are the files that their READMEs name, byte for byte."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from local.airflow_home import PROJECT

FOLDERS = (PROJECT / "plugins/salesforce_history/page/assets/vendor", Path(__file__).with_name("vendor"))


@pytest.mark.parametrize("folder", FOLDERS, ids=["page", "tests"])
def test_vendored_files_are_those_of_the_readme(folder: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    named = dict(re.findall(r"\| `([^`]+)`[^\n]*?`([0-9a-f]{64})` \|", readme))
    there = {
        path.name for path in folder.iterdir() if path.name != "README.md" and not path.name.startswith("LICENSE-")
    }
    assert there == set(named)
    for name, told in named.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told, name


@pytest.mark.parametrize("folder", FOLDERS, ids=["page", "tests"])
def test_every_package_has_its_licence(folder: Path) -> None:
    readme = (folder / "README.md").read_text(encoding="utf-8")
    packages = set(re.findall(r"^\| ([a-z-]+) \| \d+\.\d+\.\d+ \|", readme, flags=re.MULTILINE))
    assert packages
    assert {path.stem.removeprefix("LICENSE-").lower() for path in folder.glob("LICENSE-*.txt")} == packages
