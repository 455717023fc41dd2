"""Many small upserts into one mirror: how many files, manifests and how much metadata there are along the way."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from pyiceberg.table import Table

from bench.measure import Clock
from bench.upsert_data import object_columns, rows_of
from bench.upsert_tables import environment_of, new_catalog, object_file_of
from include.lake.copy_on_write import merge
from include.lake.data_files import SortedIds, write_files
from include.lake.one_commit import commit_once
from include.lake.placement import locate
from include.lake.tables import arrow_schema, ensure_tables
from include.upkeep.tables import object_tables
from include.upkeep.upkeep import keep_up

_RECORDS, _CHANGED, _NEW = 5_000, 50, 5
#: Runs between two times of upkeep: a week of a run every six hours.
_UPKEEP_EVERY = 28


def thousand(clock: Clock, *, runs: int) -> dict[str, float | str]:
    """Upsert again and again, with the upkeep of the mirror in between.

    :param clock: runs while rows are merged.
    :param runs: how many.
    """
    chance = np.random.default_rng(7)
    files, manifests, metadata = [], [], []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as scratch:
        object_file, environment = object_file_of(wide=False), environment_of(Path(scratch))
        catalog = new_catalog(Path(scratch))
        tables = ensure_tables(catalog, object_file, environment, dict(object_columns(wide=False)))
        mirror = catalog.load_table(tables.mirror)
        schema = arrow_schema(mirror)
        rows = rows_of(np.arange(_RECORDS), wide=False, changed=False).select(schema.names).cast(schema)
        commit_once(mirror, added=write_files(mirror, rows))
        kept = next(one for one in object_tables(object_file, environment) if one.place == "mirror")
        for run in range(1, runs + 1):
            newest = _RECORDS + run * _NEW
            changed = np.sort(chance.choice(newest - _NEW, _CHANGED, replace=False))
            rows = rows_of(np.append(changed, np.arange(newest - _NEW, newest)), wide=False, changed=True)
            rows = rows.select(schema.names).cast(schema)
            with clock.running():
                mirror = catalog.load_table(tables.mirror)
                placement = locate(mirror, SortedIds(rows.column("id").combine_chunks()), ("id",))
                merge(mirror, rows, placement)
            if run % _UPKEEP_EVERY == 0:
                later = datetime.now(UTC) + timedelta(days=8)
                keep_up(catalog, kept, environment, now=later)
                mirror = catalog.load_table(tables.mirror)
            counted = _counted(mirror)
            files.append(counted[0])
            manifests.append(counted[1])
            metadata.append(counted[2])
        count = mirror.scan().count()
    if count != _RECORDS + runs * _NEW:
        raise AssertionError(f"the mirror has {count} rows after {runs} runs")
    return {
        "runs": runs,
        "rows": count,
        "most data files": max(files),
        "most manifests": max(manifests),
        "most metadata KB": max(metadata),
        "files at the end": files[-1],
    }


def _counted(table: Table) -> tuple[int, int, float]:
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    data_files = sum((manifest.added_files_count or 0) + (manifest.existing_files_count or 0) for manifest in manifests)
    size = len(table.io.new_input(table.metadata_location)) / 1024
    return data_files, len(manifests), size
