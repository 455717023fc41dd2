"""What is left over outside the tables: files that runs staged, and results of queries."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pyarrow.fs as pafs

from include.staging import store
from include.staging.lifetime import LONGEST_RUN

#: How Athena names what it leaves. Nothing else is touched: dbt may keep its tables below the same folder.
_RESULT = re.compile(
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-manifest)?\.(csv|txt|metadata|csv\.metadata|txt\.metadata)"
)


def expire_staged(staging_uri: str, table: str, *, keep: timedelta, now: datetime, dry_run: bool = False) -> list[str]:
    """Remove the staged files of runs in whose folder nothing was written for long.

    A run that is going on wrote there less than the longest run ago, whatever `keep` says. The records of Bulk jobs
    lie elsewhere (`_bulk_jobs/`), and go when their job is gone.

    :param staging_uri: root of the staging store.
    :param table: the object's table.
    :param keep: how long they stay.
    :param now: the time.
    :param dry_run: look only.
    :return: the folders.
    """
    folders = store.find_folders(store.join(staging_uri, table), "", before=now - max(keep, LONGEST_RUN))
    for folder in folders if not dry_run else ():
        store.remove(folder)
    return folders


def expire_query_results(uri: str, *, keep: timedelta, now: datetime, dry_run: bool = False) -> list[str]:
    """Remove results that Athena left.

    :param uri: where it leaves them; empty: nothing is looked after.
    :param keep: how long they stay.
    :param now: the time.
    :param dry_run: look only.
    :return: their paths.
    """
    if not uri:
        return []
    filesystem, path = store.open_location(uri)
    found = [
        info.path
        for info in filesystem.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=True))
        if info.type == pafs.FileType.File and _RESULT.fullmatch(info.base_name) and info.mtime < now - keep
    ]
    for name in found if not dry_run else ():
        filesystem.delete_file(name)
    return found
