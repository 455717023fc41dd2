"""The upkeep of a table as SQL, where an engine does it: Athena or Trino.

Both remove orphans by age, too, and know nothing of runs; so no age is less than the longest run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from include.config.operating import TableUpkeep
from include.lake.sql_engine import table_name
from include.staging.lifetime import LONGEST_RUN

#: Athena has done part of its work, and is to be asked again.
MORE_RUNS = ("ICEBERG_OPTIMIZE_MORE_RUNS_NEEDED", "ICEBERG_VACUUM_MORE_RUNS_NEEDED")

#: Trino refuses less, unless its catalog is configured otherwise (`min-retention`).
_TRINO_LEAST = timedelta(days=7)


def athena_statements(identifier: str, keep: TableUpkeep) -> Sequence[str]:
    """What Athena is asked, in this order.

    Athena reads how long snapshots stay from properties of the table, and removes orphans older than that.

    :param identifier: `namespace.table`.
    :param keep: the table's settings.
    :raises ValueError: for a name that is none of ours.
    """
    table = table_name(identifier)
    seconds = _seconds(max(keep.keep_history, LONGEST_RUN))
    return (
        f"ALTER TABLE {table} SET TBLPROPERTIES ('vacuum_max_snapshot_age_seconds'='{seconds}', "
        f"'vacuum_min_snapshots_to_keep'='{keep.keep_snapshots}')",
        f"OPTIMIZE {table} REWRITE DATA USING BIN_PACK",
        f"VACUUM {table}",
    )


def trino_statements(identifier: str, keep: TableUpkeep, *, orphans_after: timedelta) -> Sequence[str]:
    """What Trino is asked, in this order.

    :param identifier: `namespace.table`.
    :param keep: the table's settings.
    :param orphans_after: age from which files that nobody refers to go.
    :raises ValueError: for a name that is none of ours.
    """
    table = table_name(identifier)
    snapshots = _seconds(max(keep.keep_history, _TRINO_LEAST))
    orphans = _seconds(max(orphans_after, LONGEST_RUN, _TRINO_LEAST))
    return (
        f"ALTER TABLE {table} EXECUTE optimize",
        f"ALTER TABLE {table} EXECUTE expire_snapshots(retention_threshold => '{snapshots}s')",
        f"ALTER TABLE {table} EXECUTE remove_orphan_files(retention_threshold => '{orphans}s')",
    )


def asks_for_more(reason: str | None) -> bool:
    """Whether a statement failed only because there is more to do than one statement does.

    :param reason: what Athena said.
    """
    return any(code in (reason or "") for code in MORE_RUNS)


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
