"""Lakes for upkeep: the raw lake of the upsert's tests; and the rows of a table, whatever files they are in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.table import Table

from include.config.object_file import ObjectFile
from tests.include.lake.conftest import Lake, user_object

__all__ = ["user_object"]


@pytest.fixture
def lake(tmp_path: Path, user_object: ObjectFile) -> Lake:
    """An empty lake for User."""
    return Lake(tmp_path / "lake", user_object)


def rows_of(table: Table, snapshot_id: int | None = None) -> Counter[Any]:
    """Every row of a table, with how often it is there."""
    found = table.refresh().scan(snapshot_id=snapshot_id).to_arrow().to_pylist()
    return Counter(tuple(sorted(row.items(), key=lambda item: item[0])) for row in found)
