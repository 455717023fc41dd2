"""The staging store: Parquet and small texts in a folder or under `s3://…`, behind one way of naming and opening them.

A location is a plain path (`/data/staging`), a `file://` URI or an `s3://bucket/prefix`. Credentials and endpoints of
S3 are found the way AWS clients find them (environment, profile, instance role).
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

log = logging.getLogger(__name__)

#: A staged file is closed at the first row group that brings it to this size (bytes, compressed).
TARGET_FILE_BYTES = 128 * 1024 * 1024
#: Batches are gathered to row groups of at least this size (bytes, as Arrow holds them).
ROW_GROUP_BYTES = 4 * 1024 * 1024
#: A column whose values differ is not worth a dictionary; this many bytes of it are tried (bytes).
_DICTIONARY_BYTES = 64 * 1024
#: Rows handed to a reader at a time, unless it asks for another number.
READ_BATCH_ROWS = 10_000

_UNSAFE = re.compile(r"[^A-Za-z0-9_.=-]+")


def join(uri: str, *parts: str) -> str:
    """A location below another one.

    :param uri: a folder.
    :param parts: names of folders or files below it.
    """
    return "/".join((uri.rstrip("/"), *parts))


def run_folder(*, staging_uri: str, table: str, run_id: str, step: str) -> str:
    """Where one step of one run stages its files: `<staging>/<table>/<run id made path-safe>/<step>`.

    :param staging_uri: root of the staging store.
    :param table: the object's table, `sf_user`.
    :param run_id: Airflow's run id; whatever a path cannot hold is replaced, and a digest keeps ids apart.
    :param step: `extract`, `validate` ….
    """
    return join(staging_uri, table, path_safe(run_id), step)


def path_safe(name: str) -> str:
    """A name that can be one folder on every store; two different names never become the same one.

    :param name: any text.
    """
    safe = _UNSAFE.sub("-", name)[:120]
    if safe == name and safe.strip("."):
        return name
    return f"{safe.strip('.')}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def write_parquet(
    uri_folder: str, tables: Iterable[pa.Table | pa.RecordBatch], schema: pa.Schema, stem: str
) -> list[str]:
    """Write batches to Parquet as they come; a row group is held at a time.

    :param uri_folder: where to; created if need be.
    :param tables: what to write, each with exactly this schema.
    :param schema: the columns.
    :param stem: files are called `<stem>-00000.parquet` and so on.
    :return: URIs of the files, in order; none if there was no row.
    :raises pa.ArrowInvalid: when a batch has another schema.
    """
    filesystem, path = open_location(uri_folder)
    _make_folder(filesystem, path)
    uris: list[str] = []
    sink: pa.NativeFile | None = None
    writer: pq.ParquetWriter | None = None
    try:
        for group in _row_groups(tables, schema):
            if writer is None:
                name = f"{stem}-{len(uris):05d}.parquet"
                sink = filesystem.open_output_stream(f"{path}/{name}")
                writer = pq.ParquetWriter(
                    sink,
                    schema,
                    compression="snappy",
                    dictionary_pagesize_limit=_DICTIONARY_BYTES,
                    write_statistics=False,  # staged files are read from end to end
                )
                uris.append(join(uri_folder, name))
            writer.write_table(group)
            if sink is not None and sink.tell() >= TARGET_FILE_BYTES:
                writer.close()
                sink.close()
                writer = sink = None
    finally:
        if writer is not None:
            writer.close()
        if sink is not None:
            sink.close()
    return uris


def _row_groups(tables: Iterable[pa.Table | pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    gathered: list[pa.RecordBatch] = []
    held = 0
    for some in tables:
        for batch in some.to_batches() if isinstance(some, pa.Table) else (some,):
            if batch.num_rows:
                gathered.append(batch)
                held += batch.nbytes
        if held >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(gathered, schema)
            gathered, held = [], 0
    if gathered:
        yield pa.Table.from_batches(gathered, schema)


def read_batches(
    uris: Sequence[str], columns: Sequence[str] | None = None, *, batch_rows: int = READ_BATCH_ROWS
) -> Iterator[pa.RecordBatch]:
    """Stream Parquet files, one batch at a time.

    :param uris: files, in the order in which to read them.
    :param columns: which columns; all of them by default.
    :param batch_rows: most rows in a batch.
    :raises FileNotFoundError: when a file is not there (any more).
    """
    for uri in uris:
        filesystem, path = open_location(uri)
        with filesystem.open_input_file(path) as source, pq.ParquetFile(source) as parquet:
            yield from parquet.iter_batches(batch_size=batch_rows, columns=list(columns) if columns else None)


def total_bytes(uris: Iterable[str]) -> int:
    """Size of files that exist, in bytes.

    :param uris: files.
    """
    total = 0
    for uri in uris:
        filesystem, path = open_location(uri)
        total += filesystem.get_file_info(path).size or 0
    return total


def exists(uri: str) -> bool:
    """Whether a file is there.

    :param uri: which file.
    """
    filesystem, path = open_location(uri)
    return filesystem.get_file_info(path).type == pafs.FileType.File


def remove(uri_folder: str) -> None:
    """Remove a folder and everything in it; not being there is fine.

    :param uri_folder: which folder.
    """
    filesystem, path = open_location(uri_folder)
    if filesystem.get_file_info(path).type == pafs.FileType.Directory:
        filesystem.delete_dir(path)
        log.debug("removed %s", uri_folder)


def write_text(uri: str, text: str) -> None:
    """Write a small UTF-8 file; its folder is created if need be.

    :param uri: which file.
    :param text: its content.
    """
    filesystem, path = open_location(uri)
    _make_folder(filesystem, path.rpartition("/")[0])
    with filesystem.open_output_stream(path) as sink:
        sink.write(text.encode("utf-8"))


def read_text(uri: str) -> str | None:
    """Content of a small UTF-8 file, None if it is not there.

    :param uri: which file.
    """
    filesystem, path = open_location(uri)
    if filesystem.get_file_info(path).type != pafs.FileType.File:
        return None
    with filesystem.open_input_stream(path) as source:
        return source.read().decode("utf-8")


def find_files(uri_folder: str, name: str) -> list[str]:
    """Every file of that name anywhere below a folder, sorted; none if the folder is not there.

    :param uri_folder: where to look.
    :param name: file name, without folders.
    """
    filesystem, path = open_location(uri_folder)
    found = filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
    prefix = path.rstrip("/") + "/"
    return sorted(
        join(uri_folder, info.path.removeprefix(prefix))
        for info in found
        if info.type == pafs.FileType.File and info.base_name == name
    )


def find_folders(uri_folder: str, prefix: str, *, before: datetime) -> list[str]:
    """Folders right below another one whose name begins so, and in which nothing was written since.

    :param uri_folder: where to look; not being there is fine.
    :param prefix: what the names begin with.
    :param before: the newest file, or the folder if there is none, is older than this (UTC).
    """
    filesystem, path = open_location(uri_folder)
    found = []
    for folder in filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True)):
        if folder.type != pafs.FileType.Directory or not folder.base_name.startswith(prefix):
            continue
        inside = filesystem.get_file_info(pafs.FileSelector(folder.path, allow_not_found=True, recursive=True))
        # S3 does not know when a folder was made.
        written = [info.mtime for info in inside if info.type == pafs.FileType.File] or [folder.mtime]
        if all(moment is not None and moment < before for moment in written):
            found.append(join(uri_folder, folder.base_name))
    return sorted(found)


def _make_folder(filesystem: pafs.FileSystem, path: str) -> None:
    # S3 has no folders: making one leaves an empty object behind and asks for rights on the bucket.
    if isinstance(filesystem, pafs.LocalFileSystem):
        filesystem.create_dir(path, recursive=True)


def open_location(uri: str) -> tuple[pafs.FileSystem, str]:
    """The file system of a location, and the path there.

    :param uri: a plain path, `file://…` or `s3://…`. What follows `://` is the path as it is: nothing in it is
        escaped, as in pyiceberg, so that a folder's name may have a space or a percent sign.
    """
    if uri.startswith("file://"):
        uri = uri.removeprefix("file://")
    elif "://" in uri:
        scheme, _, path = uri.partition("://")
        return _bucket(f"{scheme}://{path.partition('/')[0]}", os.getpid()), path.rstrip("/")
    return pafs.LocalFileSystem(), str(Path(uri).absolute())


@functools.cache
def _bucket(uri: str, _process: int) -> pafs.FileSystem:
    """One client a bucket and process: it asks for the bucket's region when it is made, and does not outlive a fork."""
    return pafs.FileSystem.from_uri(uri)[0]
