"""Checks of the lake itself, read by pyiceberg: freshness, and that every history is whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError

from deploy.check import Check, judged
from deploy.names import Names
from include.config.environment import current_environment
from include.config.object_file import ObjectFile, read_object_files
from include.lake.names import RawTables
from include.lake.watermark import read_lake_state, row_count

#: Two intervals of the schedule, as the alarm on freshness has it.
FRESH = timedelta(hours=12)
#: What Salesforce may be ahead of the last run: rows, or a share of them.
_AHEAD_ROWS, _AHEAD_SHARE = 10, 0.01
_REBUILD = (
    "Clear rebuild_history's run with full_refresh, or trigger the pipeline with full_refresh: it works them out anew."
)


def history_checks(catalog: Catalog, names: Names, in_salesforce: Callable[[], int] | None) -> Iterator[Check]:
    """The checks of every object that has been loaded; the first object must have been.

    :param catalog: the lake.
    :param names: of the environment.
    :param in_salesforce: counts the users in Salesforce; None: nobody asks.
    """
    environment = current_environment({"SF_HISTORY_ENV": names.environment})
    for object_file in read_object_files().values():
        tables = RawTables.of(object_file, environment)
        state = read_lake_state(catalog, tables)
        if state.watermark is None and object_file.object != "User":
            continue
        yield _freshness(object_file, state.watermark, names)
        if state.watermark is None and in_salesforce is not None:
            yield Check("User: count in Salesforce", "warning", "not counted", "Nothing has been loaded to compare.")
        if state.watermark is not None:
            count = in_salesforce if object_file.object == "User" else None
            yield from _counts(catalog, object_file, tables, count)


def _freshness(object_file: ObjectFile, watermark: datetime | None, names: Names) -> Check:
    name = f"{object_file.object}: freshness"
    if watermark is None:
        remedy = (
            f"Trigger {object_file.dag_id} in Airflow. If it has succeeded already, it has written elsewhere: compare "
            f"startup.sh with `make ddl ENV={names.environment}`."
        )
        return Check(name, "failed", "never loaded", remedy)
    age = datetime.now(UTC) - watermark
    found = f"read up to {watermark:%Y-%m-%d %H:%M} UTC, {age.total_seconds() / 3600:.1f} hours ago"
    return judged(
        name, age <= FRESH, found, f"Look at the last runs of {object_file.dag_id}: they fail, wait, or it is paused."
    )


def _counts(
    catalog: Catalog, object_file: ObjectFile, tables: RawTables, in_salesforce: Callable[[], int] | None
) -> Iterator[Check]:
    what = object_file.object
    mirror = catalog.load_table(tables.mirror)
    try:
        dimension = catalog.load_table(tables.dimension)
    except (NoSuchTableError, NoSuchNamespaceError):
        yield Check(
            f"{what}: history", "failed", f"there is no {tables.dimension}", "dbt has not run: look at dbt_scd2."
        )
        return
    key = object_file.dimension_column("Id")
    versions = dimension.scan(selected_fields=(key, "effective_from", "effective_to", "is_current")).to_arrow()
    current = versions.filter(pc.equal(versions["is_current"], True))
    rows = row_count(mirror)
    behind = f"The history lacks runs of the mirror: look at the last run's dbt tasks. {_REBUILD}"
    yield judged(
        f"{what}: mirror = current versions", rows == current.num_rows, f"{rows:,} = {current.num_rows:,}", behind
    )
    people = pc.count_distinct(versions[key]).as_py()
    one = current.num_rows == people == pc.count_distinct(current[key]).as_py()
    found = f"{current.num_rows:,} current versions of {people:,} records"
    yield judged(f"{what}: one current version each", one, found, _REBUILD)
    yield Check(f"{what}: closed versions", "ok", f"{versions.num_rows - current.num_rows:,}")
    yield _no_overlaps(what, versions, key)
    if in_salesforce is not None:
        yield _as_in_salesforce(what, mirror.scan(row_filter="isdeleted = false").count(), in_salesforce())


def _no_overlaps(what: str, versions: pa.Table, key: str) -> Check:
    """A version ends where the next one begins; the last one has no end, and is the current one."""
    ordered = versions.sort_by([(key, "ascending"), ("effective_from", "ascending")]).combine_chunks()
    count = ordered.num_rows
    name = f"{what}: no overlaps, no gaps"
    if count == 0:
        return Check(name, "failed", "no version at all", _REBUILD)
    here, after = ordered.slice(0, count - 1), ordered.slice(1)
    same = pc.equal(here[key], after[key])
    meets = pc.and_(
        pc.fill_null(pc.equal(here["effective_to"], after["effective_from"]), False),
        pc.less(here["effective_from"], after["effective_from"]),
    )
    ends = pc.and_(pc.is_null(here["effective_to"]), here["is_current"])
    good = pc.if_else(same, pc.and_(meets, pc.invert(here["is_current"])), ends)
    last = ordered.slice(count - 1).to_pylist()[0]
    wrong = (count - 1) - (pc.sum(good).as_py() or 0) + (last["effective_to"] is not None or not last["is_current"])
    return judged(name, wrong == 0, f"{count:,} versions, {wrong:,} wrong", _REBUILD)


def _as_in_salesforce(what: str, live: int, theirs: int) -> Check:
    allowed = max(_AHEAD_ROWS, int(theirs * _AHEAD_SHARE))
    found = f"{live:,} live records here, {theirs:,} there"
    remedy = "The next full refresh finds what was purged or hidden: trigger the pipeline with full_refresh."
    return judged(f"{what}: as in Salesforce", abs(live - theirs) <= allowed, found, remedy)
