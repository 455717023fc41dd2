"""What Parquet files hold, in a form in which a table can be compared with what it should have become."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict


class Content(BaseModel):
    """Number of rows, and digests that do not depend on their order: those of two files can be added.

    :param rows: how many.
    :param ids: sum of the hashes of the Ids.
    :param values: sum of the hashes of whole rows.
    :param crossed: the same by exclusive or.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = 0
    ids: int = 0
    values: int = 0
    crossed: int = 0

    def __add__(self, other: Content) -> Content:
        return Content(
            rows=self.rows + other.rows,
            ids=self.ids + other.ids,
            values=self.values + other.values,
            crossed=self.crossed ^ other.crossed,
        )

    def __sub__(self, other: Content) -> Content:
        return Content(
            rows=self.rows - other.rows,
            ids=self.ids - other.ids,
            values=self.values - other.values,
            crossed=self.crossed ^ other.crossed,
        )


def contents_of(files: Sequence[str]) -> dict[str, Content]:
    """What each of some files holds, all columns.

    :param files: Parquet files.
    """
    if not files:
        return {}
    with _engine() as engine:
        columns = _columns(engine, files)
        found = engine.execute(
            f"select filename, {_digest(columns)} from read_parquet(?, filename = true, hive_partitioning = false) "
            "group by filename",
            [list(files)],
        ).fetchall()
        return {row[0]: _content(row[1:]) for row in found}


def replaced_by(files: Sequence[str], changes: Path) -> Content:
    """Rows for whose id there is another one.

    :param files: Parquet files of the table.
    :param changes: Parquet file with the rows that come in their place.
    """
    with _engine() as engine:
        columns = _columns(engine, files)
        found = engine.execute(
            f"select {_digest(columns)} from read_parquet(?, hive_partitioning = false) "
            "where id in (select id from read_parquet(?))",
            [list(files), str(changes)],
        ).fetchone()
        return _content(found or ())


def _engine() -> Any:
    # Not before a clock runs: what it takes is no subject's.
    import duckdb

    engine = duckdb.connect(config={"threads": 2, "memory_limit": "4GB"})
    engine.execute("set timezone = 'UTC'")
    return engine


def _columns(engine: Any, files: Sequence[str]) -> list[str]:
    described = engine.execute("describe select * from read_parquet(?, hive_partitioning = false)", [files[0]])
    return sorted(row[0] for row in described.fetchall())


def _digest(columns: Sequence[str]) -> str:
    listed = ", ".join(f'"{name}"' for name in columns)
    return f"count(*), sum(hash(id)::hugeint), sum(hash({listed})::hugeint), bit_xor(hash({listed}))"


def _content(row: Sequence[Any]) -> Content:
    rows, ids, values, crossed = (int(value or 0) for value in row)
    return Content(rows=rows, ids=ids, values=values, crossed=crossed)
