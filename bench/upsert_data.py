"""Tables and changes that upserts are measured on: made once by a process of its own, and found again by their shape.

A table is the mirror of an object file, sorted by id, in files as a first load leaves them. It is never changed: a
measurement registers its metadata in a catalog of its own, and what it has written is removed before the next one. What
must be in the table afterwards is worked out by DuckDB from the same files.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict

from bench.upsert_content import Content, contents_of

Where = Literal["clustered", "scattered"]

START = datetime(2024, 1, 1, tzinfo=UTC)
#: When the run is that brings the changes.
CHANGED = datetime(2026, 6, 1, tzinfo=UTC)
FIRST_RUN, THIS_RUN = "scheduled__first", "scheduled__changes"
ORG = "00D000000000001AAA"
BUCKETS = 8
#: Columns of the wide object, those that the run adds included.
WIDE = 68
_PIECE = 100_000
_MOMENT = pa.timestamp("us", tz="UTC")
_DIVISIONS = ["North", "South", "East", "West", "Central"]
_PHASES = ["Phase1", "Phase2", "Phase3", "Complete"]
_KINDS = ("pick", "text", "text", "double", "moment", "flag", "long")


@dataclass(frozen=True)
class TableShape:
    """A table.

    :param rows: of it.
    :param wide: all columns of a large object instead of the user's.
    :param bucketed: partitioned by bucket(8, id).
    """

    rows: int
    wide: bool
    bucketed: bool

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.rows}-{'wide' if self.wide else 'narrow'}-{'bucket' if self.bucketed else 'flat'}"


@dataclass(frozen=True)
class ChangesShape:
    """Changes to a table: nine of ten replace a row, one of ten is new; new Ids follow the last one.

    :param count: of the changes.
    :param where: rows of the newest 5 % change, or rows anywhere.
    """

    count: int
    where: Where

    @property
    def name(self) -> str:
        """Of its file."""
        return f"{self.count}-{self.where}"


class Made(BaseModel):
    """A table as it was made.

    :param metadata: where its metadata is.
    :param files: all its files, relative to its folder.
    :param contents: data file → what it holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metadata: str
    files: tuple[str, ...]
    contents: dict[str, Content]


@dataclass(frozen=True)
class Prepared:
    """What a measurement finds.

    :param folder: of the table.
    :param table: its shape.
    :param changes: theirs.
    """

    folder: Path
    table: TableShape
    changes: ChangesShape

    @property
    def changes_file(self) -> Path:
        """Parquet with the changed rows, sorted by id, in the mirror's columns."""
        return self.folder / "changes" / f"{self.changes.name}.parquet"

    @cached_property
    def made(self) -> Made:
        """What is known of the table as it was made."""
        return Made.model_validate_json((self.folder / "complete.json").read_text(encoding="utf-8"))

    @cached_property
    def expected(self) -> Content:
        """What the table holds after the changes."""
        return Content.model_validate_json(self.changes_file.with_suffix(".json").read_text(encoding="utf-8"))

    def content(self, files: Sequence[str]) -> Content:
        """What some of the table's files hold: worked out for the new ones, known of those that it was made of.

        :param files: their paths.
        """
        known = {str(self.folder / name): content for name, content in self.made.contents.items()}
        new = [path for path in files if path not in known]
        parts = [*(known[path] for path in files if path in known), *contents_of(new).values()]
        return sum(parts, Content())

    def clean(self) -> None:
        """Remove what a measurement before this one has written."""
        kept = set(self.made.files)
        for path in (self.folder / "table").rglob("*"):
            if path.is_file() and str(path.relative_to(self.folder)) not in kept:
                path.unlink()


def prepared(rows: int, wide: bool, bucketed: bool, count: int, where: Where) -> Prepared:
    """A table and changes, made if they are not there yet; the table is as it was made.

    :param rows: of the table.
    :param wide: see `TableShape`.
    :param bucketed: likewise.
    :param count: of the changes.
    :param where: see `ChangesShape`.
    """
    shape = TableShape(rows, wide, bucketed)
    found = Prepared(folder_of(shape), shape, ChangesShape(count, where))
    if not found.changes_file.with_suffix(".json").exists():
        # In another process, so that this one's memory is its own.
        task = json.dumps({"table": asdict(shape), "changes": asdict(found.changes)})
        subprocess.run([sys.executable, "-m", "bench.upsert_make", task], check=True)
    found.clean()
    return found


def folder_of(shape: TableShape) -> Path:
    """Where a table is, below the working directory.

    :param shape: of the table.
    """
    return Path.cwd() / "upsert" / shape.name


def object_columns(wide: bool) -> dict[str, str]:
    """Source column → column type: the user's, or those of a large object.

    :param wide: which.
    """
    columns = {
        "id": "string",
        "name": "string",
        "division": "string",
        "audit_phase__c": "string",
        "lastmodifieddate": "timestamptz",
        "systemmodstamp": "timestamptz",
        "isactive": "boolean",
        "createddate": "timestamptz",
    }
    types = {
        "pick": "string",
        "text": "string",
        "double": "double",
        "moment": "timestamptz",
        "flag": "boolean",
        "long": "long",
    }
    own = len(columns) + 1 + 3
    if wide:
        for number in range(WIDE - own):
            kind = _KINDS[number % len(_KINDS)]
            columns[f"{kind}_{number:02d}__c"] = types[kind]
    return {**columns, "isdeleted": "boolean"}


def ids_of(numbers: np.ndarray) -> pa.Array:
    """Ids as Salesforce has them, ascending with the numbers.

    :param numbers: of the records.
    """
    digits = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), 10, "0")
    return pc.binary_join_element_wise("00557", digits, "AAA", "")


def rows_of(numbers: np.ndarray, wide: bool, *, changed: bool) -> pa.Table:
    """Records, the same each time they are asked for.

    :param numbers: which, ascending.
    :param wide: see `object_columns`.
    :param changed: as the changes have them.
    """
    chance = np.random.default_rng([int(numbers[0]), len(numbers), int(changed)])
    count = len(numbers)
    modified = CHANGED - timedelta(hours=1) if changed else START
    created = pa.array(numbers.astype(np.int64) * 1_000_000 + int(START.timestamp()) * 10**6, pa.int64()).cast(_MOMENT)
    seconds = chance.integers(0, 3_000, count) * 1_000_000 + int(modified.timestamp() * 10**6)
    at = pa.array(seconds, pa.int64()).cast(_MOMENT)
    texts = pa.array(chance.integers(0, 10**12, count)).cast(pa.string())
    columns: dict[str, pa.Array] = {
        "id": ids_of(numbers),
        "name": pc.binary_join_element_wise("Name ", texts, ""),
        "division": pa.array(_DIVISIONS).take(pa.array(chance.integers(0, 5, count))),
        "audit_phase__c": pa.array(_PHASES).take(pa.array(chance.integers(0, 4, count))),
        "lastmodifieddate": at,
        "systemmodstamp": at,
        "isactive": pa.array(chance.random(count) < 0.9),
        "createddate": created,
    }
    for name in object_columns(wide):
        if name not in columns:
            columns[name] = _values(name, count, chance)
    digest = chance.bytes(16 * count).hex()
    columns["_extracted_at"] = pa.repeat(pa.scalar(CHANGED if changed else START, _MOMENT), count)
    columns["_extraction_run_id"] = pa.repeat(pa.scalar(THIS_RUN if changed else FIRST_RUN), count)
    columns["_row_hash"] = pa.array([digest[start : start + 32] for start in range(0, 32 * count, 32)])
    return pa.table(columns)


def pieces(shape: TableShape) -> Iterator[pa.Table]:
    """The rows of a table, a piece at a time.

    :param shape: its shape.
    """
    for start in range(0, shape.rows, _PIECE):
        yield rows_of(np.arange(start, min(start + _PIECE, shape.rows)), shape.wide, changed=False)


def _values(name: str, count: int, chance: np.random.Generator) -> pa.Array:  # noqa: PLR0911 - one a kind
    kind = name.partition("_")[0]
    if kind == "isdeleted":
        return pa.repeat(pa.scalar(False), count)
    if kind == "pick":
        return pa.array([f"Value {number}" for number in range(12)]).take(pa.array(chance.integers(0, 12, count)))
    if kind == "text":
        empty = chance.random(count) < 0.3
        words = pa.array(chance.integers(10**9, 10**10, count)).cast(pa.string())
        text = pc.binary_join_element_wise("Some text ", words, "")
        return pc.if_else(pa.array(empty), pa.scalar(None, pa.string()), text)
    if kind == "double":
        return pa.array(np.round(chance.random(count) * 10_000, 2), mask=chance.random(count) < 0.3)
    if kind == "moment":
        moments = chance.integers(0, 50_000_000, count) * 1_000_000 + int(START.timestamp()) * 10**6
        return pa.array(moments, pa.int64()).cast(_MOMENT)
    if kind == "flag":
        return pa.array(chance.random(count) < 0.5)
    return pa.array(chance.integers(0, 1_000, count))
