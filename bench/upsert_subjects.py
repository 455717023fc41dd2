"""Who upserts: this project's merge, its whole step, pyiceberg's own upsert, and the least that anybody has to do."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.measure import Clock
from bench.upsert_data import CHANGED, ORG, THIS_RUN, Prepared, object_columns, prepared

Facts = dict[str, float | str]


class WrongContent(AssertionError):
    """A table does not hold what DuckDB worked out that it must hold."""


def prepare(clock: Clock, *, shapes: Sequence[Mapping[str, Any]]) -> None:  # noqa: ARG001 - every subject gets one
    """Make tables and changes; nothing is measured.

    :param clock: does not run.
    :param shapes: each the options of `prepared`.
    """
    for options in shapes:
        prepared(**options)


def merge(clock: Clock, **options: Any) -> Facts:
    """This project's merge of Arrow rows: the newest wins, an equal row is left alone, one snapshot.

    :param clock: runs while the work is done.
    :param options: of `prepared`.
    """
    found = prepared(**options)
    from bench.upsert_tables import opened
    from include.lake.copy_on_write import merge as merge_rows
    from include.lake.data_files import SortedIds
    from include.lake.placement import locate
    from include.lake.tables import arrow_schema
    from include.lake.watermark import STATE_PROPERTIES, WATERMARK, written

    with opened(found) as (_, _, table):
        rows = _changes(found, arrow_schema(table))
        with clock.running():
            ids = SortedIds(rows.column("id").combine_chunks())
            placement = locate(table, ids, ("id", *_ORDER))
            wins = _wins(rows, placement)
            if not wins.all():
                rows = rows.filter(pa.array(wins))
            placement = placement.only(wins)
            merge_rows(table, rows, placement, properties={WATERMARK: written(CHANGED)}, unmoved=STATE_PROPERTIES)
        return _checked(found, table)


def step(clock: Clock, **options: Any) -> Facts:
    """This project's whole step: staged Parquet into the changes log, then into the mirror, and the watermark.

    :param clock: runs while the work is done.
    :param options: of `prepared`.
    """
    found = prepared(**options)
    from bench.upsert_tables import object_file_of, opened
    from include.lake.upsert import upsert

    with opened(found) as (catalog, environment, table), tempfile.TemporaryDirectory() as folder:
        validation = _staged(found, Path(folder) / "accepted.parquet")
        object_file = object_file_of(found.table.wide)
        with clock.running():
            done = upsert(catalog, object_file, environment, validation)
        facts = _checked(found, table.refresh(), hashes=False)
        if done.logged != found.changes.count:
            raise WrongContent(f"{done.logged} observations were logged, of {found.changes.count}")
        return facts


def pyiceberg(clock: Clock, **options: Any) -> Facts:
    """`Table.upsert` of pyiceberg.

    :param clock: runs while the work is done.
    :param options: of `prepared`.
    """
    found = prepared(**options)
    from bench.upsert_tables import opened
    from include.lake.tables import arrow_schema

    with opened(found) as (_, _, table):
        rows = _changes(found, arrow_schema(table))
        with clock.running():
            table.upsert(rows, join_cols=["id"])
        return _checked(found, table)


def floor(clock: Clock, **options: Any) -> Facts:
    """The least: read the keys where the Ids can be, rewrite the files that hold a changed row, Arrow alone.

    Nothing is merged and nothing is committed.

    :param clock: runs while the work is done.
    :param options: of `prepared`.
    """
    found = prepared(**options)
    rows = pq.read_table(found.changes_file)
    ids = rows.column("id").combine_chunks()
    first, last = ids[0].as_py(), ids[-1].as_py()
    files = []
    for path in sorted(map(str, (found.folder / "table").rglob("*.parquet"))):
        groups = pq.read_metadata(path)
        bounds = [groups.row_group(number).column(0).statistics for number in range(groups.num_row_groups)]
        if min(one.min for one in bounds) <= last and max(one.max for one in bounds) >= first:
            files.append(path)
    with tempfile.TemporaryDirectory(dir=found.folder) as folder, clock.running():
        written = 0
        for number, path in enumerate(files):
            keys = pq.read_table(path, columns=["id"], partitioning=None).column("id")
            if pc.any(pc.is_in(keys, value_set=ids)).as_py():
                whole = pq.read_table(path, partitioning=None)
                pq.write_table(whole, Path(folder) / f"{number}.parquet", compression="snappy")
                written += whole.num_rows
        new = rows.slice(rows.num_rows - found.changes.count // 10)
        pq.write_table(new, Path(folder) / "new.parquet", compression="snappy")
    return {"rows written": written}


#: By what the mirror's order of observations is told, of those columns that it has.
_ORDER = ("systemmodstamp", "_extracted_at", "_row_hash")


def _wins(rows: pa.Table, placement: Any) -> np.ndarray:
    """Rows that are new, or newer than what the table has for their Id."""
    newer = np.zeros(rows.num_rows, np.bool_)
    level = np.ones(rows.num_rows, np.bool_)
    for name in _ORDER:
        ours, theirs = rows.column(name), placement.values(name).cast(rows.schema.field(name).type)
        newer |= level & _flags(pc.greater(ours, theirs))
        level &= _flags(pc.equal(ours, theirs))
    return newer | ~placement.known


def _flags(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.fill_null(False)).astype(np.bool_)


def _changes(found: Prepared, schema: pa.Schema) -> pa.Table:
    rows = pq.read_table(found.changes_file, columns=schema.names, use_threads=False).cast(schema)
    pa.default_memory_pool().release_unused()
    return rows


def _checked(found: Prepared, table: Any, *, hashes: bool = True) -> Facts:
    """Compare what the table holds with what DuckDB has worked out."""
    files = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
    content, expected = found.content(files), found.expected
    if content != expected and (hashes or (content.rows, content.ids) != (expected.rows, expected.ids)):
        raise WrongContent(f"the table holds {content}, and should hold {expected}")
    return {"snapshots": len(table.snapshots()) - 1, "files": len(files)}


def _staged(found: Prepared, path: Path) -> Any:
    """What validate would hand over."""
    from include.staging import manifest

    columns = object_columns(found.table.wide)
    pq.write_table(pq.read_table(found.changes_file, columns=list(columns)), path)
    fields: Mapping[str, str] = {name: kind for name, kind in columns.items() if name != "isdeleted"}
    plan = manifest.ReadPlan(
        noun="user",
        object="User",
        org_id=ORG,
        run_id=THIS_RUN,
        window=manifest.Window(
            start=CHANGED.replace(year=2024, month=1, day=1),
            end=CHANGED,
            kind="scheduled",
            full_refresh=False,
            reason="bench",
        ),
        fields=tuple(
            manifest.FieldPlan(name=name, column=name, salesforce_type="string", column_type=kind)
            for name, kind in fields.items()
        ),
        has_is_deleted=False,
        cursor="SystemModstamp",
        api="rest",
        estimated_rows=found.changes.count,
        planned_at=CHANGED,
    )
    extraction = manifest.ExtractionManifest(
        plan=plan, extracted_at=CHANGED, files=(), stats=manifest.ExtractionStats.of_staged(0)
    )
    return manifest.ValidationManifest(
        extraction=extraction,
        files=(str(path),),
        present_files=(),
        accepted=found.changes.count,
        rejected=0,
        superseded=0,
        reasons={},
        warnings=(),
    )
