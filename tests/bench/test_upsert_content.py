"""A table that is not what it should be is told from one that is, without reading the files that have not changed."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.upsert_content import Content, contents_of, replaced_by


def written(path: Path, rows: list[tuple[str, int | None]]) -> str:
    pq.write_table(pa.table({"id": [one for one, _ in rows], "value": [value for _, value in rows]}), path)
    return str(path)


def content(*files: str) -> Content:
    return sum(contents_of(files).values(), Content())


@pytest.mark.parametrize(
    ("second", "equal"),
    [
        ([("c", 3), ("d", None), ("b", 20), ("e", 5)], True),
        ([("b", 20), ("c", 3), ("d", None)], False),
        ([("b", 2), ("c", 3), ("d", None), ("e", 5)], False),
        ([("b", 20), ("b", 20), ("d", None), ("e", 5)], False),
        ([("b", 20), ("c", 3), ("d", 0), ("e", 5)], False),
        ([("b", 20), ("c", 3), ("d", None), ("e", 5), ("e", 5)], False),
    ],
    ids=["as it should be", "lost", "not changed", "replaced by another", "null is not nought", "twice"],
)
def test_what_a_table_should_be_follows_from_the_files_and_the_changes(
    tmp_path: Path, second: list[tuple[str, int | None]], equal: bool
) -> None:
    before = [written(tmp_path / "1", [("a", 1), ("b", 2)]), written(tmp_path / "2", [("c", 3), ("d", None)])]
    changes = tmp_path / "changes"
    expected = (
        content(*before) - replaced_by(before, Path(written(changes, [("b", 20), ("e", 5)]))) + content(str(changes))
    )
    after = [written(tmp_path / "3", [("a", 1)]), written(tmp_path / "4", second)]
    assert (content(*after) == expected) is equal
