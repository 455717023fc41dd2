"""Orphans: files in a table's folder that no snapshot, metadata file or statistics refers to.

A run that was killed leaves them, and an expiry that was killed between its commit and its deletions. A run that is
under way has files there, too, that nothing refers to yet: so nothing younger than the longest run is an orphan.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from include.lake.short_lived import is_short_lived
from include.lake.table_files import delete_unreferenced, file_key, needed_files
from include.staging.lifetime import LONGEST_RUN

log = logging.getLogger(__name__)


def remove_orphans(
    table: Table, *, older_than: timedelta, now: datetime, neighbours: Iterable[str], dry_run: bool = False
) -> int:
    """Delete orphans. Where another table lives in the same folder nothing is deleted: its files would look like some.

    :param table: the loaded table.
    :param older_than: how old they are at least; it is never less than the longest run.
    :param now: the time.
    :param neighbours: locations of all other tables.
    :param dry_run: look only.
    :return: how many there were.
    """
    folder = file_key(table.location()).rstrip("/") + "/"
    inside = sorted(one for one in neighbours if (file_key(one).rstrip("/") + "/").startswith(folder))
    if inside:
        log.warning(
            "%s: %s is in its folder, so that orphans cannot be told from that table's files. None was deleted.",
            ".".join(table.name()),
            ", ".join(inside),
        )
        return 0
    # Listed after the table was loaded, a file can belong to a later commit; it is younger than any orphan then.
    table.refresh()
    before = now - max(older_than, LONGEST_RUN)
    return len(delete_unreferenced(table, known=_referenced(table), before=before, dry_run=dry_run))


def locations(catalog: Catalog, namespaces: Iterable[str]) -> dict[str, str]:
    """Where each table of some namespaces is, by identifier.

    :param catalog: the Iceberg catalog.
    :param namespaces: those that are not there have no tables. Tables that live as long as an upsert do not count:
        their files may be gone, and what the folder of a draft holds is as young as any other file of a run.
    """
    return {
        ".".join(name): catalog.load_table(name).location()
        for namespace in namespaces
        if catalog.namespace_exists(namespace)
        for name in catalog.list_tables(namespace)
        if not is_short_lived(name[-1])
    }


def _referenced(table: Table) -> set[str]:
    metadata = table.metadata
    # What a manifest says is deleted is an orphan once the snapshots that had it are expired.
    names = {table.metadata_location, *(entry.metadata_file for entry in metadata.metadata_log)}
    names |= {one.statistics_path for one in (*metadata.statistics, *metadata.partition_statistics)}
    return needed_files(table) | {file_key(name) for name in names}
