"""Rows taken out of staged files, file by file, so that every file stays where manifests say it is."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from include.staging.store import open_location

log = logging.getLogger(__name__)

_PARQUET, _UNDER_WAY = ".parquet", ".forgetting"
_BATCH_ROWS = 65_536

#: Told a batch of a staged file; which of its rows are to go.
Chosen = Callable[[pa.RecordBatch], pa.Array]


def forget_rows(uri_folder: str, chosen: Chosen) -> list[pa.RecordBatch]:
    """Rewrite every staged file that holds a chosen row. One in which nothing is left has its columns still.

    A file that is no whole Parquet was left by an attempt that was killed while it wrote: it is removed, because what
    is in it cannot be told. Should somebody be writing it at this moment, their read finds it missing, and is repeated.

    :param uri_folder: where to look, folders below it included; not being there is fine.
    :param chosen: which rows are to go.
    :return: the rows that were removed, which are few.
    """
    filesystem, path = open_location(uri_folder)
    removed: list[pa.RecordBatch] = []
    for info in filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True)):
        if info.type != pafs.FileType.File:
            continue
        # Whoever works here too may have removed it, or the whole folder: what is gone need not be rewritten.
        with contextlib.suppress(FileNotFoundError):
            if info.path.endswith(_UNDER_WAY):
                filesystem.delete_file(info.path)
            elif info.path.endswith(_PARQUET):
                removed += _forget_in(filesystem, info.path, chosen)
    return removed


def _forget_in(filesystem: pafs.FileSystem, path: str, chosen: Chosen) -> list[pa.RecordBatch]:
    try:
        removed = _find(filesystem, path, chosen)
    except pa.ArrowInvalid as broken:
        log.warning("%s is no whole Parquet file (%s): an attempt was killed while it wrote. Removed.", path, broken)
        filesystem.delete_file(path)
        return []
    while removed:
        try:
            _rewrite(filesystem, path, chosen)
            break
        except FileNotFoundError:  # a second one took this one's new file for a left-over, or the folder is gone
            if filesystem.get_file_info(path).type != pafs.FileType.File:
                break
    return removed


def _rewrite(filesystem: pafs.FileSystem, path: str, chosen: Chosen) -> None:
    under_way = f"{path}.{uuid.uuid4().hex}{_UNDER_WAY}"
    with (
        filesystem.open_input_file(path) as source,
        pq.ParquetFile(source) as parquet,
        filesystem.open_output_stream(under_way) as sink,
        pq.ParquetWriter(sink, parquet.schema_arrow, compression="snappy") as writer,
    ):
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
            writer.write_batch(batch.filter(pc.invert(chosen(batch))))
    filesystem.move(under_way, path)


def _find(filesystem: pafs.FileSystem, path: str, chosen: Chosen) -> list[pa.RecordBatch]:
    with filesystem.open_input_file(path) as source, pq.ParquetFile(source) as parquet:
        found = (batch.filter(chosen(batch)) for batch in parquet.iter_batches(batch_size=_BATCH_ROWS))
        return [rows for rows in found if rows.num_rows]
