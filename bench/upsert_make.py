"""Makes a table to upsert into and changes to it, in a process of its own."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pyarrow.parquet as pq

from bench.upsert_content import Content, contents_of, replaced_by
from bench.upsert_data import ChangesShape, Made, Prepared, TableShape, folder_of, rows_of
from bench.upsert_tables import make_table

#: Share of the changes that are new records.
NEW_SHARE = 0.1
#: Of the table, where the newest records are.
NEWEST = 0.05


def numbers_of_changes(rows: int, changes: ChangesShape) -> np.ndarray:
    """Which records change, and which are new.

    :param rows: of the table.
    :param changes: their shape.
    """
    new = int(changes.count * NEW_SHARE)
    updated = changes.count - new
    newest = max(int(rows * NEWEST), updated)
    chosen = np.random.default_rng([rows, changes.count]).choice(
        newest if changes.where == "clustered" else rows, updated, replace=False
    )
    if changes.where == "clustered":
        chosen += rows - newest
    return np.concatenate([np.sort(chosen), np.arange(rows, rows + new)])


def make(found: Prepared) -> None:
    """Make what is not there.

    :param found: what will be found.
    """
    if not (found.folder / "complete.json").exists():
        shutil.rmtree(found.folder, ignore_errors=True)
        found.folder.mkdir(parents=True)
        metadata = make_table(found.folder, found.table)
        files = [str(path.relative_to(found.folder)) for path in (found.folder / "table").rglob("*") if path.is_file()]
        data = {str(found.folder / name): name for name in files if name.endswith(".parquet")}
        contents = {data[path]: content for path, content in contents_of(list(data)).items()}
        made = Made(metadata=metadata, files=tuple(files), contents=contents)
        (found.folder / "complete.json").write_text(made.model_dump_json(), encoding="utf-8")
    found.clean()
    found.changes_file.parent.mkdir(exist_ok=True)
    numbers = numbers_of_changes(found.table.rows, found.changes)
    draft = found.changes_file.with_suffix(".draft")
    pq.write_table(rows_of(numbers, found.table.wide, changed=True), draft)
    draft.rename(found.changes_file)
    before = [str(found.folder / name) for name in found.made.contents]
    changes = contents_of([str(found.changes_file)]).values()
    expected = found.content(before) - replaced_by(before, found.changes_file) + sum(changes, Content())
    found.changes_file.with_suffix(".json").write_text(expected.model_dump_json(), encoding="utf-8")


def _main(task: dict[str, dict[str, object]]) -> None:
    shape, changes = TableShape(**task["table"]), ChangesShape(**task["changes"])  # type: ignore[arg-type]
    make(Prepared(folder_of(shape), shape, changes))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
