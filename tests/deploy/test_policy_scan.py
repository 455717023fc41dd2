"""The scan of the templates: clean, and not because it does not look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.policy_scan import TEMPLATES, ScannerMissing, scan, scanner


@pytest.fixture(scope="module", autouse=True)
def _scanner() -> None:
    try:
        scanner()
    except ScannerMissing as missing:
        pytest.skip(str(missing))


def test_the_templates_pass() -> None:
    found = scan()
    assert found.returncode == 0, found.stdout
    assert "api0" not in found.stderr, "the scan asked its maker"


def test_a_careless_bucket_is_found(tmp_path: Path) -> None:
    text = (TEMPLATES / "foundation.yaml").read_text(encoding="utf-8")
    careless, changes = re.subn(r"(?m)^      PublicAccessBlockConfiguration:\n.*\n", "", text, count=1)
    assert changes == 1
    (tmp_path / "foundation.yaml").write_text(careless, encoding="utf-8")
    found = scan(tmp_path)
    assert found.returncode == 1
    assert "public" in found.stdout.lower()


def test_every_exception_has_its_reason() -> None:
    for path in TEMPLATES.glob("*.yaml"):
        for line in re.findall(r"checkov:skip=.*|id: CKV.*", path.read_text(encoding="utf-8")):
            assert re.search(r":.{20,}|comment: .{20,}", line), f"{path.name}: {line} says no reason"
